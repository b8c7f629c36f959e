"""What can go wrong with bytes, keys and people.

::

    SecurityError
    ├── Tampered          stored or exported bytes fail their own check
    │   └── Malformed     they are not even of the right shape
    ├── KeyRefused        a key file or wrapped key was refused (mode, owner, passphrase, bytes)
    ├── KeyDestroyed      the key existed and was destroyed: the record is erased
    ├── KeyMissing        no key was ever made for this stream and generation
    ├── KeyServiceDown    the key service does not answer: retry, never "erased"
    ├── LedgerDown        the database does not answer, or the outcome of a write is unknown
    ├── LogUnavailable    the access entry could not be made durable: nothing may be shown
    ├── NotAuthenticated  no valid session or token
    └── Denied            the policy refuses

``domain`` and ``security`` do not know each other; ``api/problems.py`` maps both trees.
"""

from __future__ import annotations


class SecurityError(Exception):
    """A security rule was not met; the message never names a person or a value."""

    code = "security"


class Tampered(SecurityError):
    """Stored or exported bytes fail their own check."""

    code = "tampered"


class Malformed(Tampered):
    """Bytes that are not of the shape their format asks for."""

    code = "malformed"


class KeyRefused(SecurityError):
    """A key file or a wrapped key was refused: wrong mode, owner, passphrase or bytes."""

    code = "key-refused"


class KeyDestroyed(SecurityError):
    """The key existed and was destroyed: what it sealed is erased."""

    code = "erased"


class KeyMissing(SecurityError):
    """No key was ever made for this stream and generation, and none was destroyed."""

    code = "key-missing"


class KeyServiceDown(SecurityError):
    """The key service does not answer. Retry; this never means that a record is erased."""

    code = "key-service-down"


class LedgerDown(SecurityError):
    """The database does not answer, or did not say whether a write was kept."""

    code = "ledger-down"


class LogUnavailable(SecurityError):
    """The access entry could not be made durable, so nothing may be shown."""

    code = "access-log-down"


class NotAuthenticated(SecurityError):
    """No valid session or token came with the request."""

    code = "not-authenticated"


class Denied(SecurityError):
    """The policy refuses this actor this action on this resource, now."""

    code = "denied"
