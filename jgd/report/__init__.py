"""A run as one page to read, print and send. It wants jinja2, which `import jgd` does not load."""

try:
    import jinja2  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"jgd.report wants jinja2 ({error}). Install it: pip install 'jgd[cli]'.", name=error.name
    ) from error

from jgd.report.page import report

__all__ = ["report"]
