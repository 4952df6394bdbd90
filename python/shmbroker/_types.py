# SPDX-License-Identifier: MIT
"""Types of payloads: made of what Python programs have, and turned into numpy dtypes.

The library knows a type as a ROS 2 message definition: fixed-size fields at natural alignment, one after the other. Whatever a Type is
made of here becomes such a text, and the text, through the library's own parser, becomes the dtype: so what Python sees is what C sees.
"""

from __future__ import annotations

import ctypes
import dataclasses
import re
import sys
import typing
from typing import Any

import numpy as np

from . import _core

PRIMITIVES: dict[str, str] = {
    "bool": "?", "byte": "u1", "char": "u1", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "int64": "i8", "uint64": "u8", "float32": "f4", "float64": "f8",
}
_NAME_OF = {np.dtype(code): name for name, code in PRIMITIVES.items() if name not in ("byte", "char")}
T = typing.TypeVar("T", bound="Type")
_builtin_type = type  # where `type` is a payload's
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*\Z")


class _ArrayOf:
    """What Array[...] gives: an annotation for a dataclass's field."""

    def __init__(self, primitive: Any, count: int):
        self.primitive = primitive
        self.count = count

    def __repr__(self) -> str:
        return f"Array[{self.primitive!r}, {self.count}]"


class Array:
    """Array[np.float64, 3] annotates a field of a dataclass: three float64."""

    def __class_getitem__(cls, item: tuple[Any, int]) -> Any:
        primitive, count = item
        return _ArrayOf(primitive, int(count))


def _refuse(what: str, why: str) -> typing.NoReturn:
    raise TypeError(f"{what} cannot be a payload's field: {why}")


def _line(name: str, base: np.dtype, count: int | None) -> str:
    if base.byteorder == ">" or (base.byteorder == "=" and sys.byteorder == "big"):
        _refuse(f"{name} ({base})", "payloads are little-endian")
    if base.names is not None:
        _refuse(name, "structures in structures may be aligned differently elsewhere: list its fields in the outer one")
    primitive = _NAME_OF.get(base)
    if primitive is None:
        _refuse(f"{name} ({base})", "fields are bool, int8 to uint64, float32, float64, and arrays of them")
    if not _IDENTIFIER.match(name):
        raise ValueError(f"a field's name is like stamp_ns, not {name!r}")
    if count == 0:
        _refuse(name, "it has no elements")
    return f"{primitive} {name}\n" if count is None else f"{primitive}[{count}] {name}\n"


def _shapes_of_dtype(dtype: np.dtype) -> dict[str, tuple[int, ...]]:
    """Of its fields that are arrays: a schema knows only their number of elements."""
    if dtype.names is None:
        return {"data": dtype.shape} if dtype.shape else {}
    return {name: dtype.fields[name][0].shape for name in dtype.names if dtype.fields[name][0].shape}  # type: ignore[index]


def _schema_of_dtype(dtype: np.dtype) -> str:
    if dtype.names is None:
        base, shape = dtype.subdtype if dtype.subdtype is not None else (dtype, ())
        return _line("data", base, int(np.prod(shape)) if shape else None)
    lines = []
    for name in dtype.names:
        field = dtype.fields[name][0]  # type: ignore[index]
        base, shape = field.subdtype if field.subdtype is not None else (field, ())
        lines.append(_line(name, base, int(np.prod(shape)) if shape else None))
    return "".join(lines)


def _schema_of_dataclass(cls: type) -> str:
    hints = typing.get_type_hints(cls, include_extras=True)
    lines = []
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        count = None
        if typing.get_origin(hint) is typing.Annotated:
            hint = next((m for m in typing.get_args(hint)[1:] if isinstance(m, (_ArrayOf, str))), typing.get_args(hint)[0])
        if isinstance(hint, _ArrayOf):
            count, hint = hint.count, hint.primitive
        if isinstance(hint, str):
            match = re.match(r"(\w+)(?:\[(\d+)\])?\Z", hint)
            if match is None or match[1] not in PRIMITIVES:
                _refuse(field.name, f"{hint!r} is nothing like float64 or float64[3]")
            hint, count = PRIMITIVES[match[1]], int(match[2]) if match[2] else None
        if isinstance(hint, type) and issubclass(hint, (ctypes._SimpleCData, ctypes.Array)):
            lines.append(_line(field.name, *_of_ctypes(field.name, hint)))
            continue
        try:
            dtype = np.dtype(hint)
        except TypeError:
            _refuse(f"{field.name} ({hint!r})", "annotate it with a number's type, or with Array[type, count]")
        lines.append(_line(field.name, dtype, count))
    return "".join(lines)


def _of_ctypes(name: str, ctype: Any) -> tuple[np.dtype, int | None]:
    count = None
    while issubclass(ctype, ctypes.Array):
        count = (1 if count is None else count) * ctype._length_
        ctype = ctype._type_
    if issubclass(ctype, ctypes.Structure):
        _refuse(name, "structures in structures may be aligned differently elsewhere: list its fields in the outer one")
    if ctype in (ctypes.c_char, ctypes.c_byte, ctypes.c_ubyte):
        return np.dtype("i1" if ctype is ctypes.c_byte else "u1"), count
    try:
        return np.dtype(ctype), count
    except (TypeError, NotImplementedError):
        _refuse(f"{name} ({ctype.__name__})", "it is no number of fixed size")


def _schema_of_ctypes(cls: type[ctypes.Structure]) -> str:
    lines = []
    for entry in cls._fields_:
        if len(entry) > 2:
            _refuse(f"{cls.__name__}.{entry[0]}", "bit fields lie differently elsewhere")
        lines.append(_line(entry[0], *_of_ctypes(entry[0], entry[1])))
    return "".join(lines)


def _name_for(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()[:47]


class Type(_core.Type):
    """A payload type: a name and a schema, with the numpy dtype that they mean.

    Type(spec, name=None) makes one of
      - a numpy dtype, structured or not (a plain one becomes one field, `data`);
      - a dataclass whose fields are annotated with number types (float is float64, int is int64) or Array[type, count];
      - a ctypes.Structure;
      - the text of a ROS 2 message definition;
      - a number of bytes: opaque;
      - another Type.

    What dtypes leave open is decided as a C compiler would: fields lie at their natural alignment. Arrays of a dtype that has the same fields
    packed, or in the other byte order, are converted when they are written.
    """

    source: Any
    dtype: np.dtype

    def __new__(cls: type[T], spec: Any, name: str | None = None) -> T:
        source: Any = None
        shapes: dict[str, tuple[int, ...]] = {}
        if isinstance(spec, Type):
            source, shapes = spec.source, _shapes_of_dtype(spec.dtype)
            name, schema = name or spec.name, spec.schema
        elif isinstance(spec, str):
            name, schema = name or "message", spec
        elif isinstance(spec, bool):
            raise TypeError("a type is made of a dtype, dataclass, ctypes structure, schema text or a number of bytes")
        elif isinstance(spec, int):
            if spec < 1:
                raise ValueError("opaque payloads have at least one byte")
            name, schema = name or "opaque", f"uint8[{spec}] data"
        elif isinstance(spec, type) and issubclass(spec, ctypes.Structure):
            source, name, schema = spec, name or _name_for(spec.__name__), _schema_of_ctypes(spec)
        elif isinstance(spec, type) and dataclasses.is_dataclass(spec):
            source, name, schema = spec, name or _name_for(spec.__name__), _schema_of_dataclass(spec)
        else:
            dtype = np.dtype(spec)
            name, schema, shapes = name or "record", _schema_of_dtype(dtype), _shapes_of_dtype(dtype)
        self = super().__new__(cls, name, schema)
        self.source = source
        fields = self.fields()
        plain = np.dtype({
            "names": [f[0] for f in fields],
            "formats": [(PRIMITIVES[f[1]], shapes.get(f[0], (f[4],))) if f[5] else PRIMITIVES[f[1]] for f in fields],
            "offsets": [f[2] for f in fields],
            "itemsize": self.size,
        })
        self.dtype = np.dtype((np.record, plain))
        if isinstance(source, type) and issubclass(source, ctypes.Structure) and not _same_layout(source, plain):
            raise TypeError(f"{source.__name__} does not lie at natural alignment (_pack_, or big-endian): its bytes are no such payload")
        return self

    def __init__(self, spec: Any, name: str | None = None):
        pass

    def __repr__(self) -> str:
        return f"Type({self.schema!r}, {self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _core.Type) and self.schema == other.schema and self.name == other.name

    def __hash__(self) -> int:
        return hash((self.name, self.schema))

    def __reduce__(self) -> Any:
        return (_restore, (self.source if self.source is not None else self.schema, self.name, _shapes_of_dtype(self.dtype)))

    def empty(self, count: int | None = None) -> Any:
        """A record, or an array of `count` of them, to fill or to read into."""
        return np.zeros((), self.dtype) if count is None else np.zeros(count, self.dtype)

    def decode(self, record: Any) -> Any:
        """The record as an instance of the dataclass or ctypes structure that the type was made of, else the record itself."""
        if self.source is None or not isinstance(record, (np.void, np.ndarray)):
            return record
        if issubclass(self.source, ctypes.Structure):
            return self.source.from_buffer_copy(record.tobytes())
        values = {}
        for field in dataclasses.fields(self.source):
            value = record[field.name]
            values[field.name] = value.copy() if isinstance(value, np.ndarray) and value.ndim else value.item()
        return self.source(**values)


def _restore(spec: Any, name: str, shapes: dict[str, tuple[int, ...]]) -> Type:
    plain = Type(spec, name)
    if _shapes_of_dtype(plain.dtype) == shapes:
        return plain
    fields = {f: (plain.dtype.fields[f][0].base, shapes[f]) if f in shapes else plain.dtype.fields[f][0] for f in plain.dtype.names}  # type: ignore
    return Type(np.dtype(list(fields.items())), name)


def _same_layout(cls: type[ctypes.Structure], dtype: np.dtype) -> bool:
    if issubclass(cls, ctypes.BigEndianStructure) or ctypes.sizeof(cls) != dtype.itemsize:
        return False
    return all(getattr(cls, n).offset == dtype.fields[n][1] for n in dtype.names)  # type: ignore[index,union-attr]


def type_of(name: str, schema: str) -> Type:
    """The type of a segment that was opened without one."""
    return Type(schema, name)


def as_type(spec: Any) -> Type:
    return spec if isinstance(spec, Type) else Type(spec)


# ---- what is neither a record nor an array of the very dtype

def _field(type: Type) -> np.dtype | None:
    """The dtype of the only field, of a type that has one."""
    names = type.dtype.names
    return type.dtype.fields[names[0]][0] if len(names) == 1 else None  # type: ignore[index, arg-type]


def _fits_field(type: Type, dtype: np.dtype, shape: tuple[int, ...]) -> bool:
    field = _field(type)
    if field is None:
        return False
    base, wanted = field.subdtype if field.subdtype is not None else (field, ())
    return dtype == base and shape == wanted


def _from_array(type: Type, array: np.ndarray) -> Any:
    wanted = type.dtype
    if array.dtype.names is None:
        native = array.dtype.newbyteorder("<")
        if _fits_field(type, native, array.shape):
            return np.ascontiguousarray(array, native)
        if array.dtype in (np.dtype("u1"), np.dtype("i1")) and array.ndim == 1 and array.size == type.size:
            return np.ascontiguousarray(array)
        raise TypeError(f"an array of {array.dtype} and shape {array.shape} is no {type.name}: one of {_plain(wanted)} is wanted")
    if array.size != 1:
        raise ValueError(f"a payload is one record, not an array of shape {array.shape}")
    if array.dtype.names != wanted.names:
        raise TypeError(f"fields {array.dtype.names} are not those of {type.name}: {wanted.names}")
    result = np.zeros((), wanted)
    one = array.reshape(())
    for name in wanted.names:
        base, shape = _parts(wanted.fields[name][0])  # type: ignore[index]
        have, have_shape = _parts(array.dtype.fields[name][0])
        if have.newbyteorder("<") != base or int(np.prod(have_shape)) != int(np.prod(shape)):
            raise TypeError(f"field {name} is {have}{list(have_shape)}, {type.name} has {base}{list(shape)}")
        result[name] = np.asarray(one[name]).reshape(shape)
    return result


def _parts(dtype: np.dtype) -> tuple[np.dtype, tuple[int, ...]]:
    return dtype.subdtype if dtype.subdtype is not None else (dtype, ())


def _plain(dtype: np.dtype) -> str:
    return str(np.dtype((np.void, dtype)))


def _from_values(type: Type, values: dict[str, Any]) -> Any:
    result = np.zeros((), type.dtype)
    names = type.dtype.names
    if set(values) != set(names):  # type: ignore[arg-type]
        raise TypeError(f"{type.name} has the fields {names}, not {tuple(values)}")
    for name in names:  # type: ignore[union-attr]
        base, shape = _parts(type.dtype.fields[name][0])  # type: ignore[index]
        value = np.asarray(values[name])
        if value.dtype.hasobject or value.shape != shape:
            raise ValueError(f"field {name} of {type.name} has the shape {shape}, not {value.shape}")
        if not np.can_cast(value.dtype, base, "same_kind") and not (value.dtype.kind == "i" and base.kind == "u"):
            raise TypeError(f"field {name} of {type.name} is {base}, not {value.dtype}")
        if base.kind in "iu" and value.dtype.kind in "iu" and value.size:
            info = np.iinfo(base)
            if int(value.min()) < info.min or int(value.max()) > info.max:
                raise OverflowError(f"field {name} of {type.name} is {base}: {values[name]} does not fit")
        result[name] = value
    return result


def encode(type: Type, payload: Any) -> Any:
    """What has the payload's bytes: called for everything that is not a contiguous array or record of the type's own dtype."""
    if isinstance(payload, (np.ndarray, np.generic)):
        return _from_array(type, np.asarray(payload))
    if isinstance(payload, (bytes, bytearray)):
        return payload
    if isinstance(payload, dict):
        return _from_values(type, payload)
    if isinstance(payload, tuple):
        names = type.dtype.names
        if len(payload) != len(names):  # type: ignore[arg-type]
            raise TypeError(f"{type.name} has {len(names)} fields, not {len(payload)}")  # type: ignore[arg-type]
        return _from_values(type, dict(zip(names, payload)))  # type: ignore[arg-type]
    if dataclasses.is_dataclass(payload) and not isinstance(payload, _builtin_type):
        return _from_values(type, {f.name: getattr(payload, f.name) for f in dataclasses.fields(payload)})
    if isinstance(payload, ctypes.Structure):
        if payload.__class__ is not type.source and Type(payload.__class__).schema != type.schema:
            raise TypeError(f"{payload.__class__.__name__} is no {type.name}")
        return payload
    if isinstance(payload, (int, float)):
        return _from_values(type, {"data": payload})
    try:
        view = memoryview(payload)
    except TypeError:
        raise TypeError(f"a {payload.__class__.__name__} is no payload: a record, array, dataclass, ctypes structure, tuple, dict or bytes is wanted") from None
    return _from_view(type, view)


def _from_view(type: Type, view: memoryview) -> Any:
    if view.format in ("B", "b", "c") and view.contiguous and view.nbytes == type.size:
        return view
    if view.format not in ("B", "b", "c"):
        return _from_array(type, np.asarray(view))
    raise ValueError(f"a payload of {type.name} has {type.size} contiguous bytes, this has {view.nbytes}{'' if view.contiguous else ', with gaps'}")


def check_out(type: Type, out: Any) -> Any:
    """What a payload may be copied into: called for everything that is not a contiguous array of the type's own dtype."""
    if isinstance(out, np.generic):
        raise TypeError("a numpy scalar cannot be written to: give a 0-d array, such as Type.empty()")
    if isinstance(out, np.ndarray):
        if not out.flags.writeable:
            raise ValueError("the array is read-only")
        if not out.flags.c_contiguous:
            raise ValueError("the array is not contiguous")
        is_one = out.dtype == type.dtype and out.size == 1
        is_bytes = out.dtype == np.dtype("u1") and out.ndim == 1 and out.size == type.size
        if is_one or is_bytes or _fits_field(type, out.dtype, out.shape):
            return out
        raise TypeError(f"an array of {out.dtype} and shape {out.shape} is not what a {type.name} is read into: one of {_plain(type.dtype)} is")
    if isinstance(out, ctypes.Structure):
        if out.__class__ is not type.source and Type(out.__class__).schema != type.schema:
            raise TypeError(f"{out.__class__.__name__} is no {type.name}")
        return out
    view = memoryview(out)
    if view.readonly:
        raise ValueError("the buffer is read-only")
    if view.format not in ("B", "b", "c") or not view.c_contiguous or view.nbytes != type.size:
        raise TypeError(f"a {type.name} is read into {type.size} contiguous bytes")
    return view
