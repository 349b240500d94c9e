"""Tests in Chromium. A package, so that its browser is closed when its last test has ended."""
