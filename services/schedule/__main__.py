"""`python -m services.schedule`: the service; with a command, a tool for rules, dates and test cases."""

import typer

from services.schedule.cli_cdsi import cdsi
from services.schedule.cli_dates import dates_app
from services.schedule.cli_japan import add_commands

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, invoke_without_command=True)


@app.callback()
def serve(context: typer.Context) -> None:
    """Without a command, run the service; with one, do only that and leave."""
    if context.invoked_subcommand is None:
        from services.schedule.app import create_app
        from shared.service import run

        run(create_app, "schedule")


app.command()(cdsi)
app.add_typer(dates_app, name="dates")
add_commands(app)

if __name__ == "__main__":
    app()
