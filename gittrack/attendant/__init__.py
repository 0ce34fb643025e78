"""The first process of a job's container: it starts the command, records the run, makes the cuts. docs/format.md §12.

It travels as one zip into any image that has Python 3.9 or later, and uses nothing else: neither git nor a package. So
it writes journals and cuts and makes no commits; those are made at home, of the same bytes everywhere.
"""
