"""Tables in files, and their columns as arrays. This wants polars, which `import jgd` does not load."""

try:
    import polars  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"jgd.tables wants polars ({error}). Install it: pip install 'jgd[cli]'.", name=error.name
    ) from error

from jgd.tables.columns import Column, Schema, feature_names, infer_columns, text_columns
from jgd.tables.complaints import TableError, nearest
from jgd.tables.encoding import encode
from jgd.tables.labels import decode, encode_target, has_target
from jgd.tables.reading import read_table
from jgd.tables.splitting import split_rows
from jgd.tables.stored import from_json, to_json
from jgd.tables.target import Target, infer_target

__all__ = [
    "Column",
    "Schema",
    "TableError",
    "Target",
    "decode",
    "encode",
    "encode_target",
    "feature_names",
    "from_json",
    "has_target",
    "infer_columns",
    "infer_target",
    "nearest",
    "read_table",
    "split_rows",
    "text_columns",
    "to_json",
]
