"""The page for users of jaxopt: its code runs, and it names every solver."""

import re

import pytest

from tests import scripts

PAGE = (scripts.DOCS / "from_jaxopt.md").read_text()
# all that jaxopt 0.8.5 exports
# fmt: off
SOLVERS = [
    "AndersonAcceleration", "AndersonWrapper", "ArmijoSGD", "BFGS", "BacktrackingLineSearch",
    "Bisection", "BlockCoordinateDescent", "BoxCDQP", "BoxOSQP", "Broyden", "CvxpyQP",
    "EqualityConstrainedQP", "FixedPointIteration", "GaussNewton", "GradientDescent",
    "HagerZhangLineSearch", "IterativeRefinement", "LBFGS", "LBFGSB", "LevenbergMarquardt",
    "MirrorDescent", "NonlinearCG", "OSQP", "OptaxSolver", "PolyakSGD", "ProjectedGradient",
    "ProximalGradient", "ScipyBoundedLeastSquares", "ScipyBoundedMinimize",
    "ScipyLeastSquares", "ScipyMinimize", "ScipyRootFinding", "ZoomLineSearch",
]
# fmt: on


@pytest.mark.exhaustive
def test_code_of_the_page_runs(capsys):
    scripts.run_page("from_jaxopt.md")
    assert "of the global minimum" in capsys.readouterr().out


def test_every_solver_is_named():
    for solver in SOLVERS:
        assert re.search(rf"`{solver}[`(]", PAGE), solver


def test_what_it_names_exists():
    import jgd

    for path in set(re.findall(r"`(?:rule=)?jgd\.([a-z_.]+)", PAGE)):
        found = jgd
        for part in path.rstrip(".").split("."):
            found = getattr(found, part)
