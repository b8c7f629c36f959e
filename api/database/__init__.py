"""The database: one dialect, PostgreSQL, embedded by default or any server named by a URL.

``problems`` says what can go wrong; ``binaries`` finds PostgreSQL; ``account`` says as whom it may
run; ``embedded`` makes a cluster and starts it; ``supervisor`` owns it for every command of one
state directory; ``state`` is that directory; ``roles`` and ``migration`` make the schema;
``dump`` takes it out.
"""
