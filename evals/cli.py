"""The `conscience` command. Its subcommands are entry points, imported only when called: `--help` stays quick.

Exit status: what the subcommand says; 3 on bad input, with one line and no traceback; 4 on a bug
of ours; 130 on Ctrl-C.
"""

import sys
import traceback
from importlib.metadata import entry_points

import click

from conscience.evals.errors import ConscienceError

GROUP = "conscience.commands"
_HELP = {
    "asclepius": "Import another benchmark as scenarios.",
    "calibrate": "Measure a judge's error on human labels.",
    "constitution": "Show, lint and compare versions of the constitution.",
    "evaluate": "Run a suite of tasks on several models.",
    "gate": "Compare a candidate with its base and give a verdict.",
    "lm-eval": "Run lm-eval on a registered checkpoint.",
    "models": "Register any checkpoint, show its lineage, export it.",
    "pairs": "Build preference pairs from a critique_revise log.",
    "tradeoff": "Safety against utility over several candidates.",
    "train": "Train a recipe on preference pairs and register the checkpoint.",
}
"""One line each, so that listing the commands imports none of them; a plugin's command shows its own name."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({entry.name for entry in entry_points(group=GROUP)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for entry in entry_points(group=GROUP, name=cmd_name):
            command: click.Command = entry.load()
            return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _HELP.get(name, "")) for name in self.list_commands(ctx)])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="conscience")
def cli() -> None:
    """Did training on a clinical constitution make a model safer without making it less useful?

    Evaluations are Inspect tasks: inspect eval conscience/asclepius --model conscience/smollm2-135m
    """


def main() -> None:
    """Run the command; the only place that turns errors into exit statuses."""
    try:
        status = cli.main(standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except ConscienceError as error:
        click.echo(f"conscience: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(3)
    except (click.Abort, KeyboardInterrupt):
        click.echo("conscience: interrupted; what was finished is kept", err=True)
        sys.exit(130)
    except Exception:  # a bug of ours must not leave status 1, which means FAIL
        traceback.print_exc()
        sys.exit(4)


if __name__ == "__main__":  # launchers of several processes start modules: accelerate launch -m conscience.evals.cli
    main()
