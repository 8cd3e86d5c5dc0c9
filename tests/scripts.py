"""The scripts of experiments/, as modules, and the code of the pages in docs/."""

import importlib.util
import re
from pathlib import Path

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
DOCS = Path(__file__).parents[1] / "docs"


def load(name):
    specification = importlib.util.spec_from_file_location(name, EXPERIMENTS / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run_page(name, *headings):
    """Run the code of a page: all of it, or its beginning and the sections of these headings.

    Returns:
      The names that the code defines.
    """
    beginning, *sections = re.split(r"^## ", (DOCS / name).read_text(), flags=re.MULTILINE)
    by_heading = {section.partition("\n")[0]: section for section in sections}
    chosen = [by_heading[heading] for heading in headings or by_heading]
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", "".join([beginning, *chosen]), re.DOTALL):
        exec(compile(block, name, "exec"), names)
    return names
