"""What the operating system says of files and addresses, as far as it is translated.

`OSError.strerror` is a text of the C library, English in most processes whatever their reader speaks.
"""

from __future__ import annotations

from typing import Final

REASONS: Final = frozenset(
    {
        "Address already in use",
        "Broken pipe",
        "Cannot allocate memory",
        "Cannot assign requested address",
        "Cannot send after transport endpoint shutdown",
        "Connection refused",
        "Connection reset by peer",
        "Connection timed out",
        "Device or resource busy",
        "Directory not empty",
        "Disk quota exceeded",
        "File exists",
        "File name too long",
        "File too large",
        "Host is down",
        "Input/output error",
        "Invalid argument",
        "Invalid cross-device link",
        "Is a directory",
        "Name or service not known",
        "Network is unreachable",
        "No route to host",
        "No space left on device",
        "No such device",
        "No such file or directory",
        "Not a directory",
        "Operation not permitted",
        "Operation not supported",
        "Permission denied",
        "Read-only file system",
        "Remote I/O error",
        "Required key not available",
        "Stale file handle",
        "Structure needs cleaning",
        "Temporary failure in name resolution",
        "Text file busy",
        "Too many levels of symbolic links",
        "Too many open files",
        "Too many open files in system",
        "Transport endpoint is not connected",
        "not a regular file",
    }
)
"""As glibc has them, and most systems; the last is our own, see `disk.read_regular`."""
