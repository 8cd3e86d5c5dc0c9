"""What `jgd compare` compares, and what it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jgd.cli.asked import fit_command
from jgd.cli.directory import CONFIG, FIGURES, REPORT, SUMMARY, versions, write_summary
from jgd.cli.flags import gathered
from jgd.cli.options import USUAL_BATCH_SIZE, Options

if TYPE_CHECKING:
    import jgd
    from jgd.cli.problem import Problem

VARIANTS = {"batch": "batch", "stochastic": "stochastic", "mini-batch": "minibatch"}
ENDED = {"EPOCHS_DONE": "all epochs", "CONVERGED": "converged", "STALLED": "stalled"}
FAR = 0.2  # in R² or accuracy: what is worse than a guess by so much has run away
ALIKE = 0.005  # in R² or accuracy: what is apart by less is as good


def options_by_variant(given: dict[str, Any], batch_size: int | None) -> dict[str, Options]:
    """The options of each, those of mini-batches with their size.

    Raises:
      ValueError: an option does not fit.
    """
    sizes = {"batch": None, "stochastic": None, "mini-batch": batch_size or USUAL_BATCH_SIZE}
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"--batch-size is {batch_size}, but a number of rows >= 1 is wanted.")
    return {
        name: gathered(None, **given, variant=variant, batch_size=sizes[name])
        for name, variant in VARIANTS.items()
    }


def problems_of(by_variant: dict[str, Options]) -> dict[str, Problem]:
    """The problem of each; they share the rows and the start.

    Raises:
      ValueError: an option does not suit the table or the variants.
    """
    from jgd import choices
    from jgd.cli.problem import problem_of, settled

    first = next(iter(by_variant.values()))
    if first.rule in choices.FULL_BATCH_RULES:
        raise ValueError(
            f"--rule {first.rule} takes all rows at once, so there is nothing to compare.\n"
            f"Take another, such as --rule adam; or fit: jgd fit ... --rule {first.rule}"
        )
    shared = problem_of(first)
    return {
        name: shared._replace(options=settled(options, shared.target))
        for name, options in by_variant.items()
    }


def finished(
    problems: dict[str, Problem], trained: dict[str, tuple[jgd.Fit, float]], path: Path, given: dict
) -> dict[str, Any]:
    """Write all that a comparison leaves into its directory.

    Args:
      problems: name of the variant -> problem.
      trained: name of the variant -> fit and seconds.
      path: directory of the run.
      given: name -> value, what was asked for.

    Returns:
      The summary, see jgd/report/reading.py, with the numbers of each variant.
    """
    from jgd.report import report

    problem = next(iter(problems.values()))
    told = {name: _numbers(problems[name], *trained[name]) for name in problems}
    guess = next(iter(told.values())).pop("guess")
    for numbers in told.values():
        numbers.pop("guess", None)
    sound = [name for name in told if told[name]["status"] != "DIVERGED"]
    main = next(iter(guess[1]))
    best = max(sound, key=lambda name: _rank(told[name], main)) if sound else None
    summary = {
        "command": "compare",
        "title": f"{problem.target.name} of {Path(problem.options.table).name}: "
        "batch, stochastic and mini-batch",
        "facts": _facts(problems),
        "status": "DONE" if best else "DIVERGED",
        "explanation": _explanation(told, best, main),
        "notes": problem.notes + _notes(problem),
        "advice": _advice(told, best, guess[1], given, 2 * problem.options.epochs),
        "tables": _tables(told, guess),
        "figures": _figures(trained, path / FIGURES),
        "versions": versions(),
        "variants": told,
        "best": best,
        "out": str(path),
    }
    write_summary(path, summary)
    report(path)
    return summary


def files(path: Path) -> list[tuple[str, str]]:
    """What lies in the directory."""
    return [
        (f"{path / REPORT}", "all of this on one page, with figures"),
        (f"{path / CONFIG}, {SUMMARY}", "every choice, this summary"),
    ]


def _numbers(problem: Problem, fit: jgd.Fit, seconds: float) -> dict[str, Any]:
    import jgd
    from jgd.cli import metrics

    status, epochs = jgd.Status(int(fit.status)).name, int(fit.epochs)
    found, _, _ = metrics.table(problem, fit.params)
    where, name = ("held out" if problem.held is not None else "training"), list(found)[-1]
    num, size = len(problem.y_train), problem.options.batch_size
    updates = epochs * (1 if size is None else -(-num // min(size, num)))
    loss = None
    if status != "DIVERGED":
        loss = float(jgd.value(problem.objective, fit.params, problem.train))
    return {
        "epochs": epochs,
        "updates": updates,
        "seconds": seconds,
        "loss": loss,
        "metrics": found[where],
        "status": status,
        "guess": (name, found[name], where),
    }


def _is_far(value: float | None, guess: float | None) -> bool:
    """Whether it is so much worse than a guess that the training has run away."""
    return value is not None and guess is not None and not value >= guess - FAR


def _rank(numbers: dict[str, Any], main: str) -> float:
    value = numbers["metrics"][main]
    if value is None:  # of one row held out there is no R²
        return -float("inf") if numbers["loss"] is None else -numbers["loss"]
    return -float("inf") if value != value else value


def _tables(told: dict[str, dict], guess: tuple) -> list[dict[str, Any]]:
    name, of_guess, where = guess
    main = next(iter(of_guess))
    rows = [
        [
            *(variant, numbers["epochs"], numbers["updates"], f"{numbers['seconds']:.1f}"),
            *(numbers["loss"], numbers["metrics"][main]),
            ENDED.get(numbers["status"], numbers["status"].lower()),
        ]
        for variant, numbers in told.items()
    ]
    columns = ["", "epochs", "updates", "seconds", "final loss", main, "ended"]
    of_metrics = [[variant, *numbers["metrics"].values()] for variant, numbers in told.items()]
    return [
        {"title": "Side by side", "columns": columns, "rows": rows},
        {
            "title": f"Metrics, {where}" if where == "training" else "Metrics on rows held out",
            "columns": ["", *of_guess],
            "rows": [*of_metrics, [name, *of_guess.values()]],
        },
    ]


def _facts(problems: dict[str, Problem]) -> list[list[Any]]:
    from jgd.cli.finishing import kinds

    problem = problems["mini-batch"]
    options, held = problem.options, len(problem.y_held)
    rate = options.learning_rate
    steps = (
        f"learning rate {rate:g}" if isinstance(rate, float) else "learning rate auto, of each its own"
    )
    penalty = "" if options.penalty == "none" else f", penalty {options.penalty}"
    model = f"mlp {','.join(map(str, options.hidden))}" if options.hidden else "linear"
    return [
        ["task", problem.target.task],
        ["rows", f"{len(problem.y_train):,} trained on" + (f", {held:,} held out" if held else "")],
        ["columns", kinds(problem.schema)],
        ["model", f"{model}; {options.loss}{penalty}"],
        ["mini-batches", f"{options.batch_size} rows"],
        ["steps", f"{options.rule}, {steps}"],
        ["epochs", f"at most {options.epochs}"],
    ]


def _notes(problem: Problem) -> list[str]:
    said = ["An update is one step; seconds are those of compiling, too."]
    if problem.learned.scale != 1 or problem.learned.center != 0:
        said.append(f"Losses are of {problem.target.name} standardised; metrics are in its own units.")
    return said


def _explanation(told: dict[str, dict], best: str | None, main: str) -> str:
    lost = [name for name in told if told[name]["status"] == "DIVERGED"]
    diverged = f" Diverged: {', '.join(lost)}." if lost else ""
    if best is None:
        return "Diverged: all of them did."
    value = told[best]["metrics"][main]
    if value is None:
        return f"Done: {best} has the lowest loss.{diverged}"
    return f"Done: {best} has the best {main}, {value:.4g}.{diverged}"


def _advice(told: dict[str, dict], best: str | None, guess: dict, given: dict, more: int) -> list[str]:
    main = next(iter(guess))
    if best is None:
        return ["The steps were too long: take --learning-rate 0.001, or --learning-rate auto."]
    good = [
        name
        for name, numbers in told.items()
        if numbers["status"] != "DIVERGED" and _rank(numbers, main) >= _rank(told[best], main) - ALIKE
    ]
    quick = min(good, key=lambda name: told[name]["seconds"])
    said = []
    if quick != best:
        said.append(f"{quick.capitalize()} is as good within {ALIKE:g}, and was the quickest of those.")
    chosen = {**given, "variant": VARIANTS[quick]}
    chosen["batch_size"] = given["batch_size"] if quick == "mini-batch" else None
    command = fit_command(chosen, [], {})
    said.append(f"Train it: {command}")
    lost = [
        name
        for name, numbers in told.items()
        if numbers["status"] == "DIVERGED" or _is_far(numbers["metrics"][main], guess[main])
    ]
    if lost:
        said.append(
            f"For {' and '.join(lost)} the steps were too long: a lower --learning-rate, or auto."
        )
    unfinished = [name for name in told if told[name]["status"] == "EPOCHS_DONE" and name not in lost]
    if unfinished:
        said.append(
            f"Not done after all epochs: {', '.join(unfinished)}. Run more of them: --epochs {more}"
        )
    return said


def _figures(trained: dict[str, tuple[jgd.Fit, float]], folder: Path) -> list[dict[str, str]]:
    from jgd import plots
    from jgd.cli.drawing import Drawing, drawn

    fits = {name: fit for name, (fit, _) in trained.items()}
    drawings = [
        Drawing(
            "learning_curves",
            "Training loss by epoch",
            "The loss of batch, stochastic and mini-batch descent by epoch.",
            lambda ax: plots.learning_curves(fits, ax),
            (7.0, 4.2),
        )
    ]
    held = {name: _by_held_out(fit) for name, fit in fits.items() if fit.history.evaluation is not None}
    if held:

        def draw(ax: Any) -> None:
            plots.learning_curves(held, ax)
            ax.set(ylabel="loss of rows held out", title="Held-out loss")

        alt = "The loss of rows held out by epoch, of all three."
        drawings.append(Drawing("held_out", "Held-out loss by epoch", alt, draw, (7.0, 4.2)))
    return drawn(folder, drawings)


def _by_held_out(fit: jgd.Fit) -> jgd.Fit:
    assert fit.history.evaluation is not None
    return fit._replace(history=fit.history._replace(loss=fit.history.evaluation["held_out_loss"]))
