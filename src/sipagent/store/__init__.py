"""What is kept of calls: lines of the log, metrics, and a database.

A *row* is what a table keeps; a *final* one (a call, its outcome, a bill, a transfer) is never
given up. The *writer* carries rows into the *sink* in batches; the *spool* keeps final ones over
the end of the process. A *location* says where the database is, the *schema* which tables it has.
"""
