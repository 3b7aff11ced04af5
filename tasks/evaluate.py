"""`conscience evaluate`: a suite of tasks on several models, through Inspect's eval-set.

    conscience evaluate smollm2-135m demo-dpo --suite quick

Checkpoints of one base share it in memory, and its batches.
"""

import click

from conscience.evals.errors import BadInput


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--suite", required=True, help="quick, standard or paper; see tasks/suites.yaml.")
@click.option("--log-dir", help="Where logs go; the same folder again goes on where it stopped. Default: logs/SUITE.")
@click.option("--limit", type=click.IntRange(min=1), help="Samples of each task.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Length of an answer, instead of the tasks' own.")
@click.option("-T", "task_args", multiple=True, metavar="KEY=VALUE", help="Argument for every task that has it.")
@click.option("-M", "model_args", multiple=True, metavar="KEY=VALUE", help="Argument of the models, such as dtype.")
@click.option("--model-role", multiple=True, metavar="ROLE=MODEL", help="A model for a role, such as grader.")
def evaluate(
    names: tuple[str, ...],
    suite: str,
    log_dir: str | None,
    limit: int | None,
    max_tokens: int | None,
    task_args: tuple[str, ...],
    model_args: tuple[str, ...],
    model_role: tuple[str, ...],
) -> int:
    """Run a suite on several models: names of conscience/NAME, or of any model that Inspect knows.

    `conscience gate` and `conscience tradeoff` read the logs. Exit status: 0 when every task succeeded, 2 when one did
    not, 3 bad input.
    """
    from inspect_ai import eval_set
    from inspect_ai._util.error import PrerequisiteError

    from conscience.tasks.suites import pairs, suite_tasks

    models = list(dict.fromkeys(name if "/" in name else f"conscience/{name}" for name in names))
    folder = log_dir or f"logs/{suite}"
    try:
        tasks = suite_tasks(suite, pairs("-T", task_args))
        success, logs = eval_set(
            tasks,
            log_dir=folder,
            model=models,
            model_args=pairs("-M", model_args),
            model_roles=dict(pairs("--model-role", model_role)) or None,
            limit=limit,
            # All at once: the models' answers share batches, and none waits for another's last conversation.
            max_tasks=len(tasks) * len(models),
            max_tokens=max_tokens,
        )
    except PrerequisiteError as error:
        raise BadInput(click.unstyle(str(error.message))) from None
    failed = [f"{log.eval.model} {log.eval.task} ({log.status})" for log in logs if log.status != "success"]
    if failed or not success:
        click.echo(
            f"conscience: {len(failed)} of {len(logs)} tasks did not succeed: {', '.join(failed)}; "
            f"the same command goes on with them",
            err=True,
        )
        return 2
    click.echo(f"{len(logs)} logs in {folder}")
    return 0
