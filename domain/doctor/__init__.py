"""The doctor: finds out whether everything is as it should be, says what is not in plain words, and mends what can be.

Looking changes nothing but that the log is brought up to date, as any server that starts would do. What it finds is exact while
others go on working: a member or a size is held against the log at one place in the stream (`domain.membership.examining`).
Mending goes by way of the engine wherever somebody may be told of it (docs/decisions/0008).
"""
