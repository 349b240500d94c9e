"""The service as data and decisions, without any I/O. The single calls and the bulk workers share all of it.

From a call to a request:

- `endpoints`: the table of the eleven operations. Start here to see what the service can do.
- `inputs`: check the values of a single call and build its request. Needs pandas.
- `request`: build a request from checked values, and its address. Workers use it without pandas.

From a response to a decision:

- `response`: read response bodies and build errors. `judge` decides what a status means and what may be resent.
- `pagination`: read a listing page by page, completely or not at all.
- `attempts`: decide what follows an attempt. Start here for retries.
- `retry_policy`: calculate the delays, and parse ``Retry-After``.
- `readback`: choose the call that checks whether a change with a lost response happened.
"""

__all__: list[str] = []
