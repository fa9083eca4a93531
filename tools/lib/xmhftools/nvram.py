"""Firmware variables in a copy of OVMF's template: boot options and Secure Boot's lists.

SPDX-License-Identifier: MIT

The layout of the variable store is EDK2's (MdeModulePkg, the header VariableFormat); boot options,
device paths and signature lists are those of the UEFI specification 2.10.
"""
import base64
import hashlib
import pathlib
import struct
import uuid

from .base import ToolError

GLOBAL = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")       # EFI_GLOBAL_VARIABLE
SECURITY = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")     # db, dbx
SHIM = uuid.UUID("605dab50-e046-4300-abb6-3dd810dd8b23")         # what shim keeps
OWNER = uuid.UUID("ba1c6f4e-3f8e-4f0f-9d2f-0d5f0c5f5a11")        # of what these tools enrol
_X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")        # EFI_CERT_X509_GUID
_SHA256 = uuid.UUID("c1c41626-504c-4092-aca9-41f936934328")      # EFI_CERT_SHA256_GUID
_STORE = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792")       # gEfiAuthenticatedVariableGuid

NON_VOLATILE, BOOT_SERVICE, RUNTIME = 1, 2, 4
_ANY_TIME = NON_VOLATILE | BOOT_SERVICE | RUNTIME
_TIME_BASED = 0x20  # EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS

_HEADER = struct.Struct("<HBBIQ16sIII16s")  # AUTHENTICATED_VARIABLE_HEADER
_START, _ADDED, _DELETED = 0x55AA, 0x3F, 0xFD


def pem_certificate(path):
    """The certificate of a PEM file as DER bytes."""
    _, begin, rest = pathlib.Path(path).read_text(encoding="ascii").partition(
        "-----BEGIN CERTIFICATE-----")
    body, end, _ = rest.partition("-----END CERTIFICATE-----")
    if not begin or not end:
        raise ToolError(f"{path} holds no certificate in PEM form")
    return base64.b64decode(body)


def _signature_list(kind, data):
    """An EFI_SIGNATURE_LIST with one entry (32.4.1)."""
    return struct.pack("<16sIII16s", kind.bytes_le, 28 + 16 + len(data), 0, 16 + len(data),
                       OWNER.bytes_le) + data


def certificate_list(der):
    """That of a certificate."""
    return _signature_list(_X509, der)


def hash_list(digest):
    """That of an image's SHA-256 by Authenticode."""
    return _signature_list(_SHA256, digest)


def _text(text):
    return text.encode("utf-16-le") + b"\0\0"


def file_path(path):
    """A file path node (10.3.5.4)."""
    name = _text(path)
    return struct.pack("<BBH", 4, 4, 4 + len(name)) + name


def partition_path(number, first, sectors, identity):
    """A GPT partition's node (10.3.5.1): what a boot option's short form begins with."""
    return struct.pack("<BBHIQQ16sBB", 4, 1, 42, number, first, sectors, identity.bytes_le, 2, 2)


END_PATH = struct.pack("<BBH", 0x7F, 0xFF, 4)


def load_option(title, path, data=b""):
    """An EFI_LOAD_OPTION (3.1.3) that is active."""
    return struct.pack("<IH", 1, len(path)) + _text(title) + path + data


def arguments(text):
    """Optional data that is a command line."""
    return _text(text) if text else b""


class Store:
    """The variables of one machine."""

    def __init__(self, template):
        self.data = bytearray(pathlib.Path(template).read_bytes())
        # EFI_FIRMWARE_VOLUME_HEADER.HeaderLength, PI 1.7, volume 3, 3.2.1
        self._first = struct.unpack_from("<H", self.data, 0x30)[0]
        if self.data[0x28:0x2C] != b"_FVH" or (
                self.data[self._first:self._first + 16] != _STORE.bytes_le):
            raise ToolError(f"{template} is no store of EFI variables as OVMF has them")
        self._end = self._first + struct.unpack_from("<I", self.data, self._first + 16)[0]

    def _walk(self):
        """(offset, name, vendor, header's fields) of each variable that is there; then the offset
        of the free space, and None."""
        at = self._first + 28
        while at + _HEADER.size <= self._end:
            fields = _HEADER.unpack_from(self.data, at)
            if fields[0] != _START:
                break
            name = bytes(self.data[at + _HEADER.size:at + _HEADER.size + fields[7]])
            if fields[1] == _ADDED:
                yield at, name, fields[9], fields
            at += _HEADER.size + fields[7] + fields[8]
            at += -at % 4
        yield at, None, None, None

    def find(self, name, vendor):
        """(offset, header's fields) of a variable, or None."""
        for at, found, owner, fields in self._walk():
            if found == _text(name) and owner == vendor.bytes_le:
                return at, fields
        return None

    def get(self, name, vendor=GLOBAL):
        """A variable's value, or None."""
        found = self.find(name, vendor)
        if not found:
            return None
        at, fields = found
        first = at + _HEADER.size + fields[7]
        return bytes(self.data[first:first + fields[8]])

    def names(self):
        """All variables' (name, vendor)."""
        return [(name.decode("utf-16-le")[:-1], uuid.UUID(bytes_le=owner))
                for _, name, owner, _ in self._walk() if name is not None]

    def set(self, name, data, vendor=GLOBAL, attributes=_ANY_TIME):
        """Write a variable in the place of what has its name."""
        time = bytes(16)
        old = self.find(name, vendor)
        if old:
            at, fields = old
            attributes, time = fields[3], fields[5]
            self.data[at + 2] &= _DELETED
        at = [entry[0] for entry in self._walk()][-1]
        record = _HEADER.pack(_START, _ADDED, 0, attributes, 0, time, 0, len(_text(name)),
                              len(data), vendor.bytes_le) + _text(name) + data
        if at + len(record) > self._end:
            raise ToolError(f"the firmware's variables have no room for {name}")
        self.data[at:at + len(record)] = record

    def boot_options(self, options):
        """Boot these, in this order, before anything that the firmware finds by itself."""
        for number, option in enumerate(options):
            self.set(f"Boot{number:04X}", option)
        self.set("BootOrder", struct.pack(f"<{len(options)}H", *range(len(options))))

    def trust(self, signatures):
        """Add signature lists to db."""
        self.set("db", (self.get("db", SECURITY) or b"") + signatures, SECURITY,
                 _ANY_TIME | _TIME_BASED)

    def forbid(self, signatures):
        """Add signature lists to dbx."""
        self.set("dbx", (self.get("dbx", SECURITY) or b"") + signatures, SECURITY,
                 _ANY_TIME | _TIME_BASED)

    def trust_by_shim(self, signatures):
        """Add signature lists to what the machine's owner lets shim start."""
        self.set("MokList", (self.get("MokList", SHIM) or b"") + signatures, SHIM,
                 NON_VOLATILE | BOOT_SERVICE)

    def write(self, path):
        pathlib.Path(path).write_bytes(self.data)


def authenticode_sha256(image):
    """The digest of a PE image that is not signed (Authenticode, "Calculating the PE Image
    Hash"), for hash_list()."""
    at = struct.unpack_from("<I", image, 0x3C)[0]
    checksum, plus = at + 0x58, struct.unpack_from("<H", image, at + 0x18)[0] == 0x20B
    directory = at + (0xA8 if plus else 0x98)  # that of certificates
    digest = hashlib.sha256(image[:checksum])
    digest.update(image[checksum + 4:directory])
    digest.update(image[directory + 8:])
    digest.update(bytes(-len(image) % 8))
    return digest.digest()
