"""How this implementation is named in associations (PS3.7 D.3.3.2) and files (PS3.10 7.1)."""

from __future__ import annotations

IMPLEMENTATION_CLASS_UID = "2.25.262179400968071590137271020995625866678"
"""Our own, made once from a UUID (PS3.5 B.2)."""

IMPLEMENTATION_VERSION_NAME = "HILUM_1"
