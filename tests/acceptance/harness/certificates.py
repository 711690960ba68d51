"""What the tests' own authorities have in common."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


def name(common_name: str) -> x509.Name:
    """A name that is only a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def unsigned(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePrivateKey, left: datetime.timedelta = DAY
) -> x509.CertificateBuilder:
    """A certificate that began three days ago and ends when `left` is over, to be signed by its issuer."""
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 3 * DAY)
        .not_valid_after(now + left)
    )


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Writes a private key in PEM form."""
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
