"""Plans: the rows of a bulk change, checked before anything is sent."""
