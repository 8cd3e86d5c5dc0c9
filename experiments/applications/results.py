"""docs/results.md, from what the applications and the variants have left in experiments/output.

python experiments/applications/results.py
"""

import os
import platform
from importlib.metadata import version

import page

DOCUMENT = page.ROOT / "docs" / "results.md"
ORDER = (
    *("linear_regression", "logistic_regression", "support_vector_machine", "ridge_lasso"),
    *("recommender", "vision", "language", "variants"),
)
ABOUT = """# Results

What gradient descent is used for, each on real data, beside the tool that people use today. Every
number is measured: mean ± standard deviation over five seeds, each of which draws its own split into
training and test part, its own start and its own order of examples; a reference sees the very same
splits. `make experiments` runs all of it and writes this page.
"""


def main() -> None:
    pages = [page.OUTPUT / f"{name}.md" for name in ORDER]
    missing = [path.stem for path in pages if not path.exists()]
    if missing:
        raise SystemExit(f"Not run yet: {', '.join(missing)}. Run all of them: make experiments")
    names = ("jax", "scikit-learn", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    python = f"Python {platform.python_version()}"
    machine = f"On {os.cpu_count()} cores of {platform.machine()}, with {python}, {versions}."
    DOCUMENT.write_text("\n".join([ABOUT, machine, "", *(path.read_text() for path in pages)]))
    print(f"{DOCUMENT.relative_to(page.ROOT)} of {len(pages)} pages")


if __name__ == "__main__":
    main()
