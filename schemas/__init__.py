"""What a record is: types, Arrow schemas, validation, layout on disk, foreign formats."""

from schemas.arrow import OKEDIT, SCHEMAS, Schema
from schemas.errors import InputError
from schemas.images import EncodedImage
from schemas.records import EditRecord, EditRequest, Probe, Provenance, Sample

__all__ = [
    "OKEDIT",
    "SCHEMAS",
    "EditRecord",
    "EditRequest",
    "EncodedImage",
    "InputError",
    "Probe",
    "Provenance",
    "Sample",
    "Schema",
]
