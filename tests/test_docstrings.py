"""The examples in the docstrings run, and every public name has a docstring that is complete."""

import contextlib
import doctest
import importlib
import inspect
import pkgutil

import jax
import jax.numpy as jnp
import optax
import pytest

import jgd

with contextlib.suppress(ImportError):
    importlib.import_module("jgd.plots")
with contextlib.suppress(ImportError):
    importlib.import_module("jgd.report")
with contextlib.suppress(ImportError):
    importlib.import_module("jgd.tables")

EXTRAS = {"jinja2", "matplotlib", "orbax", "polars", "rich", "safetensors", "sklearn"}
EXTRAS |= {"tensorboardX", "tomli_w", "typer"}
MODULES = sorted(module.name for module in pkgutil.walk_packages(jgd.__path__, "jgd."))
PUBLIC = {
    "": (
        *("objective", "with_keys", "value", "value_and_gradient"),
        *("sgd", "adagrad", "rmsprop", "adam"),
        *("descend", "batch_descent", "stochastic_descent", "minibatch_descent", "order", "explain"),
        *("grid", "sample", "static", "sweep", "successive_halving", "cross_validate", "multistart"),
        *("hyperband", "population_based_training", "sweep_with_progress", "descend_within"),
        *("auto_rule", "diagnose", "gradient_noise", "range_test", "sufficient_statistics"),
        *("armijo", "barzilai_borwein", "polyak", "tune_xla"),
        *("accelerated", "coordinate", "mirror", "duality_gap", "svrg", "saga", "katyusha"),
        *("implicit", "path", "largest_strength", "primal_dual"),
        *("uniform", "log_uniform", "integers", "choice"),
        *("shard_rows", "descend_stream", "train"),
    ),
    "blocks.": ("arrays", "npy", "table", "iterate", "check_block", "find_bad"),
    "losses.": (
        *("squared_error", "absolute_error", "huber", "quantile", "poisson", "logistic"),
        *("softmax", "hinge", "squared_hinge"),
    ),
    "penalties.": (
        "l1",
        "l2",
        "elastic_net",
        "group_l1",
        "nonnegative",
        "box",
        "l2_ball",
        "simplex",
        "l1_ball",
        "nuclear",
    ),
    "curvature.": (
        *("hessian_vector_product", "extreme_eigenvalues", "sharpness", "condition_number"),
        *("feature_curvature", "spectral_density"),
    ),
    "stop.": ("gradient_norm", "relative_gradient_norm", "plateau", "validation", "duality_gap"),
    "models.": (
        *("dropout", "unknown"),
        *(
            f"{model}.{part}"
            for model in ("linear", "mlp", "cnn", "factorization", "factorization_machine", "text")
            for part in ("init", "predict")
        ),
    ),
    "features.": (
        *("standardize", "minmax", "whiten", "polynomial", "interactions"),
        *("one_hot", "tokenize", "hashing"),
    ),
    "logs.": ("jsonl", "read_jsonl", "tensorboard"),
    "report.": ("report",),
    "tables.": (
        *("read_table", "nearest", "infer_target", "has_target", "encode_target", "decode"),
        *("infer_columns", "encode", "feature_names", "text_columns", "to_json", "from_json"),
        "split_rows",
    ),
    "metrics.": ("accuracy", "log_loss", "rmse", "r2", "auc", "precision_at_k"),
    "plots.": (
        *("learning_curves", "path_on_contours", "final_loss", "heat_map", "parallel_coordinates"),
        *("halving_brackets", "range_test", "coefficient_path", "loss_history", "predictions"),
        *("confusion", "coefficients", "style", "save"),
    ),
}
FUNCTIONS = [room + name for room, names in PUBLIC.items() for name in names]
CLASSES = ["Objective", "Fit", "History", "State", "Status", "Sweep", "Diagnosis"]
CLASSES += ["CrossValidation", "Halving", "Hyperband", "Multistart", "Population"]
CLASSES += ["Path", "GradientNoise", "RangeTest", "curvature.Extremes", "curvature.Density"]
CLASSES += ["StreamState", "blocks.Blocks", "blocks.Iterated"]
CLASSES += ["penalties.Penalty", "models.Model", "features.Standardization"]


def find(name):
    """The object of that name in jgd; None where it does not exist yet."""
    found = jgd
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def imported(name):
    """The module; the test is skipped where it needs an extra that is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if (error.name or "").partition(".")[0] in EXTRAS:
            pytest.skip(f"{name} needs {error.name}")
        raise


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = imported(name)
    names = {"jgd": jgd, "jax": jax, "jnp": jnp, "optax": optax}
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner(verbose=False)
    report = []
    for test in finder.find(module, name, extraglobs=names):
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_examples_are_found():
    """What runs no example fails no example."""
    module = imported("jgd.objectives.losses")
    found = {test.name: len(test.examples) for test in doctest.DocTestFinder().find(module)}
    for name in PUBLIC["losses."]:
        assert found[f"jgd.objectives.losses.{name}"] >= 1


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if find(name)])
def test_docstring_of_a_function_is_complete(name):
    text = inspect.getdoc(find(name)) or ""
    signature = inspect.signature(find(name))
    returns = signature.return_annotation not in (None, "None")
    parts = [">>>", *["Args:"] * bool(signature.parameters), *["Returns:"] * returns]
    assert all(part in text for part in parts), text
    assert text[0].isupper()
    assert text.partition("\n")[0].endswith((".", "`"))
    described = text.partition("Args:")[2].partition("Returns:")[0]
    for parameter in signature.parameters.values():
        stars = {parameter.VAR_KEYWORD: "**", parameter.VAR_POSITIONAL: "*"}.get(parameter.kind, "")
        assert f"  {stars}{parameter.name}:" in described, parameter.name


@pytest.mark.parametrize("name", [name for name in CLASSES if find(name)])
def test_docstring_of_a_class_names_its_attributes(name):
    cls = find(name)
    text = inspect.getdoc(cls) or ""
    described = text.partition("Attributes:")[2]
    fields = [*getattr(cls, "__members__", ()), *getattr(cls, "_fields", ())]
    fields += getattr(cls, "__dataclass_fields__", ())
    assert fields
    for field in fields:
        assert f"  {field}:" in described, field


@pytest.mark.parametrize("name", [name for name in jgd.__all__ if inspect.isfunction(find(name))])
def test_every_public_function_is_in_the_list_above(name):
    assert name in FUNCTIONS


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is(name):
    text = imported(name).__doc__ or ""
    assert text.partition("\n")[0].endswith("."), name
