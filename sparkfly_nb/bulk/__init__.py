"""Bulk calls: many rows in one call, recorded in a ledger before they are sent.

From a call to its result:

- `runs`: start or continue a run, settle it, or undo it. Start here.
- `plan`: check the rows before anything is sent, preview them, and compare them with a recorded run.
- `ledger`: record every run, row and outcome in a database.
- `engine`: take a recorded run to its end. `engine.reconcile` decides what a check against the service proves.
- `worker`: send a shard of rows, or list a block of members, in a joblib worker.
- `result_frames`: build the result of a run and the list of runs from the ledger.

Other calls:

- `undo`: void what an issue run issued.
- `listing`: list the offer states of many members.

Shared by several of these:

- `operations`: the table of bulk operations, with their columns and outcomes.
- `records`: runs, rows and outcomes as the ledger records them.
- `options`: the options of all bulk calls of a Session.
- `circuit_breaker`: halt a run in which too many rows fail.
- `interruptible`: run work in a thread, so that Ctrl-C cannot stop it halfway.
"""

__all__: list[str] = []
