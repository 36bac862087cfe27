"""The front door: one command for each thing that a person does. No logic lives here."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from commands.terminal import Terminal
from db.states import UserRole
from settings import CONFIG_VARIABLE, ClientTls, Loaded, SettingsError, load, template
from settings.exposed import plain_secrets
from settings.loading import COMMAND_LINE

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Chest X-rays in by DICOM, a structured report and an overlay back.",
)
data_app = typer.Typer(no_args_is_help=True, help="The challenge's data.")
app.add_typer(data_app, name="data")
bundle_app = typer.Typer(no_args_is_help=True, help="Model bundles: which there are, which read.")
app.add_typer(bundle_app, name="bundle")
audit_app = typer.Typer(no_args_is_help=True, help="The audit trail (PS3.15 A.5).")
app.add_typer(audit_app, name="audit")
storage_app = typer.Typer(no_args_is_help=True, help="Films and results in a bucket (S3).")
app.add_typer(storage_app, name="storage")
user_app = typer.Typer(no_args_is_help=True, help="Who may log in to the console.")
app.add_typer(user_app, name="user")
verdicts_app = typer.Typer(no_args_is_help=True, help="What readers say of the readings.")
app.add_typer(verdicts_app, name="verdicts")
out = Terminal()
err = Terminal(stderr=True)

BundleName = Annotated[str, typer.Argument(help="ID/VERSION, or ID where there is one version.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why, for the history.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Tls = Annotated[bool, typer.Option("--tls", help="Call by TLS.")]
TlsCa = Annotated[
    Path | None, typer.Option(help="PEM file of the peer's CA; unset: the system's CAs.")
]
TlsCertificate = Annotated[
    Path | None, typer.Option(help="PEM file of our certificate and key, if the peer wants one.")
]
UserName = Annotated[str, typer.Argument(help="The name that is typed to log in.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", help="A file that holds the password; unset: one is made."),
]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray", help="HOST:PORT of a Ray cluster; auto: that of this machine."),
]
Paths = Annotated[list[Path], typer.Argument(help="Files or folders.")]


_FIXED_VARIABLE = "HILUM_BUNDLE_IS_FIXED"
"""Tells child processes that worker.bundle was given on the command line."""


class _Options:
    """What was given before the command: kept for it, and for child processes."""

    config: Path | None = None
    overrides: dict[str, Any] = {}  # noqa: RUF012 - replaced as a whole, never changed


@app.callback()
def main_options(
    config: Annotated[
        Path | None, typer.Option(help="Configuration file.", envvar=CONFIG_VARIABLE)
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting, as in --set listener.port=11113. May be repeated."),
    ] = None,
) -> None:
    """Take what stands before the command."""
    _Options.config = config
    _Options.overrides = dict(_parse(each) for each in set_ or [])


@app.command()
def serve() -> None:
    """Run everything: listener, worker, delivery and scheduled jobs."""
    from commands import roles

    roles.serve(_load().settings, _environment())


@app.command()
def listen() -> None:
    """Receive films by C-STORE."""
    from commands import roles

    roles.listen(_load())


@app.command()
def dicomweb() -> None:
    """Receive films by STOW-RS."""
    from commands import roles

    roles.dicomweb(_load().settings)


@app.command()
def console() -> None:
    """Show the console: worklist, studies, monitoring, administration."""
    from commands import roles

    roles.console(_load())


@app.command()
def work(ray: RayAddress = None) -> None:
    """Read films and make reports; with --ray, by workers on a cluster."""
    from commands import cluster, roles

    if ray is not None:
        cluster.work(_load(), ray, _environment())
    else:
        roles.work(_load(), fixed=_bundle_is_fixed())


@app.command()
def deliver() -> None:
    """Send results to the destinations."""
    from commands import roles

    roles.deliver(_load())


@app.command()
def schedule() -> None:
    """Run the scheduled jobs."""
    from commands import roles

    roles.schedule(_load().settings)


@app.command()
def read(
    paths: Paths,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    bundle: Annotated[Path | None, typer.Option(help="Another model bundle.")] = None,
) -> None:
    """Read films without network or database. Exit code 1 where some could not be read."""
    from commands.read import print_read
    from commands.read import read as read_films

    _refuse_missing(paths)
    if bundle is not None:
        _Options.overrides = {**_Options.overrides, "worker.bundle": bundle}
    if not print_read(read_films(paths, _load().settings), out, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def send(
    paths: Paths,
    host: Annotated[str, typer.Option(help="The peer's address.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Its port; unset: our listener's.")
    ] = None,
    called: Annotated[str | None, typer.Option(help="Its AE title; unset: ours.")] = None,
    calling: Annotated[str, typer.Option(help="The AE title to call from.")] = "HILUM_SEND",
    tls: Tls = False,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
) -> None:
    """Send files or folders by C-STORE."""
    from commands.send import send as send_files

    _refuse_missing(paths)
    secured = _client_tls(tls, tls_ca, tls_certificate)
    if send_files(paths, _peer(host, port, called, calling, secured), out):
        raise typer.Exit(1)


@app.command()
def fetch(
    archive: Annotated[
        str | None,
        typer.Argument(help="Its name in hilum.toml; may be left out if there is only one."),
    ] = None,
    dates: Annotated[
        str | None,
        typer.Option("--date", help="today, yesterday, -7d, YYYYMMDD or YYYYMMDD-YYYYMMDD."),
    ] = None,
    modality: Annotated[
        list[str] | None, typer.Option(help="Instead of the archive's; may be repeated.")
    ] = None,
    patient_id: Annotated[str, typer.Option(help="Patient ID; * and ? match any.")] = "",
    accession: Annotated[str, typer.Option(help="Accession number.")] = "",
    description: Annotated[
        str, typer.Option(help="Study description; * and ? match any, as in '*thorax*'.")
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="All that the archive holds of the modalities.")
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="List what would come; fetch nothing.")] = False,
    per_minute: Annotated[
        float | None, typer.Option(min=0.01, help="Studies a minute; unset: the archive's.")
    ] = None,
    between: Annotated[
        str | None, typer.Option(help="Fetch only in these hours, as in 19:00-06:00.")
    ] = None,
    show_patients: Annotated[
        bool, typer.Option(help="Show patients and accession numbers too.")
    ] = False,
) -> None:
    """Fetch films from an archive (C-FIND, then C-GET or C-MOVE); what is here is left out.

    Exit code 1 where some did not come. The same command, given again, goes on where one stopped.
    """
    from commands.fetch import Wanted
    from commands.fetch import fetch as fetch_films

    wanted = Wanted(
        dates=dates,
        modalities=tuple(modality or ()),
        patient_id=patient_id,
        accession_number=accession,
        study_description=description,
        whole_archive=everything,
        per_minute=per_minute,
        between=between,
    )
    settings = _load().settings
    if not fetch_films(
        settings, archive, wanted, out, dry_run=dry_run, show_patients=show_patients
    ):
        raise typer.Exit(1)


@app.command()
def echo(
    host: Annotated[str, typer.Option(help="The peer's address.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Its port; unset: our listener's.")
    ] = None,
    called: Annotated[str | None, typer.Option(help="Its AE title; unset: ours.")] = None,
    calling: Annotated[
        str | None, typer.Option(help="The AE title to call from; unset: ours.")
    ] = None,
    tls: Tls = False,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
) -> None:
    """Ask a peer by C-ECHO whether it is there."""
    from commands.send import echo as echo_peer

    peer = _peer(host, port, called, calling, _client_tls(tls, tls_ca, tls_certificate))
    problem = echo_peer(peer)
    if problem is not None:
        _fail(f"{peer.ae_title} at {peer.host}:{peer.port}: {problem}", 1)
    out.print(f"{peer.ae_title} at {peer.host}:{peer.port} answers.", highlight=False)


@app.command()
def history(
    since: Annotated[
        datetime | None, typer.Option(help="First image came at or after (UTC).")
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="First image came before (UTC).")] = None,
    study_date: Annotated[str | None, typer.Option(help="YYYYMMDD or YYYYMMDD-YYYYMMDD.")] = None,
    patient_id: Annotated[str | None, typer.Option(help="Patient ID, exactly.")] = None,
    accession: Annotated[str | None, typer.Option(help="Accession number, exactly.")] = None,
    probability: Annotated[
        str | None, typer.Option(help="At least, or a range: 0.5 or 0.2-0.8.")
    ] = None,
    finding: Annotated[
        str | None, typer.Option(help="opacity, abnormal, normal or failed.")
    ] = None,
    state: Annotated[str | None, typer.Option(help="open, reported or failed.")] = None,
    source: Annotated[str | None, typer.Option(help="AE title of the sender.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Newest studies to list.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a header line.")] = False,
) -> None:
    """List studies by any filter."""
    from commands import history as view
    from commands import wanted as typed
    from commands.roles import opened
    from db.history import Filter

    first, last = typed.study_dates(study_date)
    low, high = typed.probabilities(probability)
    try:
        wanted = Filter(
            since=since and since.replace(tzinfo=UTC),
            until=until and until.replace(tzinfo=UTC),
            study_date_from=first,
            study_date_to=last,
            patient_id=patient_id,
            accession_number=accession,
            probability_min=low,
            probability_max=high,
            finding=typed.finding(finding),
            state=typed.state(state),
            source_ae=source,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    with opened(_load().settings) as (database, _), database.read() as session:
        rows = view.rows(session, wanted, limit)
    if as_json:
        for row in rows:
            print(json.dumps(row))
    elif as_csv:
        view.print_csv(rows)
    else:
        view.print_table(rows, out)


@app.command()
def show(
    study: Annotated[str, typer.Argument(help="Our id, Study Instance UID or accession number.")],
    as_json: Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")] = False,
) -> None:
    """Show everything known of one study, with its timeline."""
    from commands import history as view
    from commands.roles import opened
    from db.history import find

    with opened(_load().settings) as (database, _), database.read() as session:
        found = find(session, study)
        if found is None:
            _fail("no study has this id, Study Instance UID or accession number", 1)
        elif as_json:
            print(json.dumps(view.everything(session, found)))
        else:
            view.print_study(session, found, out)


@app.command()
def retry(
    study: Annotated[str, typer.Argument(help="Our id, Study Instance UID or accession number.")],
    resend: Annotated[bool, typer.Option(help="Send again what was sent already, too.")] = False,
) -> None:
    """Try again what failed with a study: images, report and deliveries."""
    from commands.retry import retry as retry_study
    from commands.roles import opened

    with opened(_load().settings) as (database, _):
        text = retry_study(database, study, resend=resend)
    if text is None:
        _fail("no study has this id, Study Instance UID or accession number", 1)
    out.print(text)


@app.command()
def reread(
    bundle: Annotated[str, typer.Option(help="ID/VERSION, or a bundle's folder.")],
    since: Annotated[
        datetime | None, typer.Option(help="First image came at or after (UTC).")
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="First image came before (UTC).")] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="For comparison alone: nothing is reported or sent.")
    ] = False,
    films: Annotated[int, typer.Option(min=0, help="How many of the most different films.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Read an archive anew with a bundle, and tell what changes. Given again, it goes on.

    Exit code 1 where some could not be read.
    """
    from commands import reread as again

    found = again.run(
        _load().settings,
        bundle,
        since and since.replace(tzinfo=UTC),
        until and until.replace(tzinfo=UTC),
        shadow=shadow,
        films=films,
        console=err,
    )
    if as_json:
        print(json.dumps(found))
    else:
        again.print_outcome(found, out)
    if found["left"]:
        raise typer.Exit(1)


@app.command()
def backup(
    file: Annotated[
        Path | None,
        typer.Argument(help="The file to write; it must not exist. Unset: one in backup.folder."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only read FILE to its end: is it whole?")
    ] = False,
) -> None:
    """Write an encrypted backup of database and files, while everything runs.

    Exit code 1 where a film or result is missing or damaged.
    """
    from commands import backup as backups

    if verify:
        if file is None:
            raise typer.BadParameter("--verify needs a FILE")
        _say(backups.verify(_load().settings, file))
        return
    sentence, good = backups.backup(_load().settings, file)
    _say(sentence)
    if not good:
        raise typer.Exit(1)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `hilum backup` has written.")],
) -> None:
    """Restore a backup into an empty data folder and an empty database."""
    from commands import backup as backups

    _say(backups.restore(_load().settings, file))


@app.command()
def schema(
    to: Annotated[
        str | None, typer.Option(help="Take the schema back to this older version.")
    ] = None,
) -> None:
    """Print the database's schema version; with --to, make it an older program's (all stopped)."""
    from commands import schema as versions

    settings = _load().settings
    if to is not None:
        versions.take_back(settings, to)
    _say(versions.version(settings))


@storage_app.command("back")
def storage_back() -> None:
    """Bring films and results back from the bucket into data_dir; stop Hilum before.

    Exit code 1 where one is lost.
    """
    from commands.storage import back

    sentence, good = back(_load().settings)
    _say(sentence)
    if not good:
        raise typer.Exit(1)


@app.command()
def sums() -> None:
    """Sum the history up anew, for the console's figures; the service may run meanwhile."""
    from commands.sums import rebuild

    _say(rebuild(_load().settings))


@app.command()
def forget(
    patient_id: Annotated[
        list[str] | None,
        typer.Option(help="Whose data; may be repeated. Asked for where it is not given."),
    ] = None,
    birth_date: Annotated[
        str | None,
        typer.Option(help="Only studies that name this one (YYYYMMDD); where IDs are not unique."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Erase; without it, only tell what would be erased.")
    ] = False,
    even_unsent: Annotated[
        bool, typer.Option("--even-unsent", help="Also what was not yet reported or sent.")
    ] = False,
) -> None:
    """Erase all films, results and history of one patient, for good.

    Exit code 1 where something of the patient is left.
    """
    from commands.forget import forget as forget_patient

    sentences, done = forget_patient(
        _load().settings,
        patient_id or [typer.prompt("Patient ID")],
        birth_date=birth_date,
        really=yes,
        even_unsent=even_unsent,
    )
    for sentence in sentences:
        _say(sentence)
    if not done:
        raise typer.Exit(1)


@app.command()
def sr(
    file: Annotated[Path, typer.Argument(help="A Structured Report (TID 1500), ours or not.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="What a worklist needs, as JSON.")
    ] = False,
    no_patients: Annotated[
        bool, typer.Option("--no-patients", help="Leave out who the patient is, and which study.")
    ] = False,
) -> None:
    """Print a Structured Report as a person reads it."""
    from commands import sr as view

    report = view.read(file)
    if as_json:
        print(json.dumps(view.as_json(report, patients=not no_patients)))
    else:
        view.print_report(report, out, patients=not no_patients)


@app.command()
def doctor(
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Send a film of our own the whole way, no more.")
    ] = False,
) -> None:
    """Check database, storage, model, ports, destinations and GPU; say what to do."""
    from commands.doctor import examine, print_checks
    from commands.doctor_self_test import self_test as test
    from commands.layered import layered

    loaded, _ = layered(_load())  # a database that does not answer is told by its own check
    if not print_checks(test(loaded.settings) if self_test else examine(loaded), out):
        raise typer.Exit(1)


@app.command()
def health() -> None:
    """Ask what runs here whether it is ready; exit code 1 where it is not. For health checks."""
    from commands.health import unready

    problems = unready(_load().settings)
    for problem in problems:
        _say(problem)
    if problems:
        raise typer.Exit(1)
    _say("ready")


@app.command("tls-selfsigned")
def tls_selfsigned(
    folder: Annotated[Path, typer.Argument(help="Where the certificates go; made if needed.")],
    host: Annotated[
        list[str],
        typer.Option(help="Name or address that a side listens at. May be repeated."),
    ],
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long they are good.")] = 365,
) -> None:
    """Make certificates for a trial of DICOM over TLS, and say how they are used."""
    from commands.selfsigned import selfsigned

    selfsigned(folder, host, days, _load().settings, out)


@app.command()
def config(
    show_template: Annotated[
        bool, typer.Option("--template", help="Print a commented hilum.toml instead.")
    ] = False,
) -> None:
    """Print the settings in effect and where each comes from."""
    if show_template:
        print(template(), end="")
        return
    from commands.layered import layered

    loaded, note = layered(_load())
    if note is not None:
        err.print(note)
    width = max(len(each.key) for each in loaded.effective())
    for each in loaded.effective():
        print(f"{each.key:<{width}}  {each.value}  ({each.origin})")


@app.command()
def demo(
    films: Annotated[Path | None, typer.Option(help="Your own films instead of phantoms.")] = None,
    once: Annotated[bool, typer.Option(help="End after the readings came back.")] = False,
) -> None:
    """Start everything with a small PACS beside it, send films, and show what comes back."""
    from commands.demo import demo as run_demo

    run_demo(_load(), _environment(), films, out, once=once)


@data_app.command("check")
def data_check(
    folder: Annotated[Path, typer.Argument(help="The challenge's folder, packed or not.")],
) -> None:
    """Check a Kaggle folder: what is there, what is missing, what contradicts itself."""
    from commands.data import check_data

    if not check_data(folder, out):
        raise typer.Exit(1)


@bundle_app.command("list")
def bundle_list(as_json: AsJson = False) -> None:
    """List the bundles, which of them is active, which reads in shadow, and what is wrong."""
    from dataclasses import asdict

    from commands import bundle

    rows = bundle.rows(_load().settings)
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        bundle.print_rows(rows, out)


@bundle_app.command("show")
def bundle_show(
    name: BundleName,
    as_json: AsJson = False,
    card: Annotated[bool, typer.Option("--card", help="Print the model card.")] = False,
) -> None:
    """Show what a bundle is, what it was trained on and what was measured of it."""
    from commands import bundle

    found = bundle.find(_load().settings, name)
    if as_json:
        print(json.dumps(bundle.manifest(found)))
    elif card:
        print(bundle.model_card(found), end="")
    else:
        bundle.print_bundle(found, out)


@bundle_app.command("verify")
def bundle_verify(
    name: Annotated[str, typer.Argument(help="ID/VERSION, or a bundle's folder.")],
) -> None:
    """Hold a bundle against its digests, load it, and hold it against its golden output."""
    from commands import bundle

    _say(bundle.verify(_load().settings, name))


@bundle_app.command("register")
def bundle_register(
    source: Annotated[Path, typer.Argument(help="A bundle's folder, or its ZIP.")],
) -> None:
    """Copy a bundle in, verified. It reads nothing before it is activated."""
    from commands import bundle

    _say(bundle.register(_load().settings, source))


@bundle_app.command("export")
def bundle_export(
    name: BundleName,
    to: Annotated[Path | None, typer.Option("--out", help="The ZIP; unset: by its name.")] = None,
) -> None:
    """Write a bundle as one ZIP, to be registered elsewhere."""
    from commands import bundle

    _say(bundle.export(_load().settings, name, to))


@bundle_app.command("activate")
def bundle_activate(
    name: Annotated[
        str, typer.Argument(help="ID/VERSION; or `configured`: what worker.bundle says.")
    ],
    reason: Reason = None,
) -> None:
    """Have a bundle read for the reports from now on, without dropping a study."""
    from commands import bundle_choice

    _say(bundle_choice.activate(_load().settings, name, reason))


@bundle_app.command("rollback")
def bundle_rollback(reason: Reason = None) -> None:
    """Return to the bundle that was active before; again, to the one before that."""
    from commands import bundle_choice

    _say(bundle_choice.roll_back(_load().settings, reason))


@bundle_app.command("shadow")
def bundle_shadow(
    name: Annotated[str, typer.Argument(help="ID/VERSION; or `off`.")],
    reason: Reason = None,
) -> None:
    """Have a second bundle read everything too; nothing of it is sent."""
    from commands import bundle_choice

    _say(bundle_choice.shadow(_load().settings, name, reason))


@bundle_app.command("compare")
def bundle_compare(
    since: Annotated[datetime | None, typer.Option(help="Read at or after (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Read before (UTC).")] = None,
    films: Annotated[int, typer.Option(min=0, help="How many of the most different films.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Set what a bundle read in shadow beside what the active one read of the same films."""
    from commands import compare

    found = compare.compare(
        _load().settings,
        since and since.replace(tzinfo=UTC),
        until and until.replace(tzinfo=UTC),
        films,
    )
    if as_json:
        print(json.dumps(found))
    else:
        compare.print_comparison(found, out)


@bundle_app.command("history")
def bundle_history(
    limit: Annotated[int, typer.Option(min=1, help="Newest choices to list.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what was chosen, since when, by whom and why."""
    from commands import bundle_choice

    rows = bundle_choice.history(_load().settings, limit)
    if as_json:
        print(json.dumps(rows))
    else:
        bundle_choice.print_history(rows, out)


@bundle_app.command("remove")
def bundle_remove(name: BundleName) -> None:
    """Delete a registered bundle that is not in use."""
    from commands import bundle

    _say(bundle.remove(_load().settings, name))


@user_app.command("add")
def user_add(
    name: UserName,
    role: Annotated[UserRole, typer.Option(help="What the user may do.")] = UserRole.READER,
    password_file: PasswordFile = None,
) -> None:
    """Add a user."""
    from commands import user

    _say(user.add(_load().settings, name, role, _password(password_file)))


@user_app.command("list")
def user_list() -> None:
    """List the users."""
    from commands import user

    user.print_users(user.users(_load().settings), out)


@user_app.command("password")
def user_password(name: UserName, password_file: PasswordFile = None) -> None:
    """Give a user another password, and log out all sessions."""
    from commands import user

    _say(user.set_password(_load().settings, name, _password(password_file)))


@user_app.command("role")
def user_role(
    name: UserName, role: Annotated[UserRole, typer.Argument(help="What the user may do.")]
) -> None:
    """Give a user another role."""
    from commands import user

    _say(user.set_role(_load().settings, name, role))


@user_app.command("remove")
def user_remove(name: UserName) -> None:
    """Remove a user, with sessions and tokens."""
    from commands import user

    _say(user.remove(_load().settings, name))


@verdicts_app.command("agreement")
def verdicts_agreement(
    since: Annotated[datetime | None, typer.Option(help="Given at or after (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Given before (UTC).")] = None,
    by: Annotated[str, typer.Option(help="bundle, source or station.")] = "bundle",
    as_json: AsJson = False,
) -> None:
    """Tell how far readings agree with the verdicts of readers."""
    from commands import verdicts

    found = verdicts.agreement(_load().settings, _utc(since), _utc(until), by)
    if as_json:
        print(json.dumps(found))
    else:
        verdicts.print_agreement(found, out)


@verdicts_app.command("export")
def verdicts_export(
    folder: Annotated[Path, typer.Argument(help="Folder to make; an empty one may be there.")],
    since: Annotated[datetime | None, typer.Option(help="Given at or after (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Given before (UTC).")] = None,
) -> None:
    """Write the films that verdicts speak of as a training set, without patients' names."""
    from commands import verdicts

    _say(verdicts.export(_load().settings, folder, _utc(since), _utc(until)))


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=UTC)


@audit_app.command("verify")
def audit_verify() -> None:
    """Check that no audit record was changed, put in or left out; exit code 2 where one was."""
    from commands.audited import verify

    _say(verify(_load().settings))


@app.command()
def train(
    names: Annotated[
        list[str] | None, typer.Argument(help="Experiments; --list names them.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="The challenge's folder.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every row of the report.")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="List the experiments.")] = False,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/experiments"),
    films: Annotated[int | None, typer.Option(help="Fewer films than the report.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Other epochs than the report.")] = None,
    size: Annotated[int | None, typer.Option(help="Another side of the films, in pixels.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed.")] = None,
    batch: Annotated[int | None, typer.Option(help="Other films a batch.")] = None,
    weights: Annotated[str | None, typer.Option(help="none, or a file or folder.")] = None,
    random_if_missing: Annotated[
        bool, typer.Option(help="Start at random where weights cannot be had.")
    ] = False,
    mlflow: Annotated[bool, typer.Option(help="Log to MLflow too.")] = False,
) -> None:
    """Run experiments of the report; a run that was stopped goes on."""
    from commands import train as trainer

    if show_list:
        trainer.list_experiments(out, runs)
        return
    if folder is None:
        raise typer.BadParameter("--folder is needed: the challenge's folder")
    good = trainer.train(
        "all" if every else names or [],
        folder,
        runs,
        out,
        films=films,
        epochs=epochs,
        size=size,
        batch=batch,
        seed=seed,
        weights=weights,
        random_if_missing=random_if_missing,
        mlflow=mlflow,
    )
    if not good:
        raise typer.Exit(1)


@app.command()
def explore(
    source: Annotated[Path, typer.Argument(help="A Kaggle folder, or a folder of its tables.")],
    to: Annotated[Path, typer.Option("--out", help="Folder of the page and its figures.")] = Path(
        "runs/exploration"
    ),
) -> None:
    """Explore the challenge's data: every figure and table of the report, as one page."""
    from commands.explore import explore as explore_data

    explore_data(source, to, out)


@app.command()
def report(
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/experiments"),
    to: Annotated[Path, typer.Option("--out", help="Folder of the page.")] = Path("runs/report"),
    folder: Annotated[
        Path | None, typer.Option(help="The Kaggle folder, for effects that are measured on it.")
    ] = None,
) -> None:
    """Set every row of the report beside ours, with what the report got wrong."""
    from commands.report import report as make_report

    make_report(runs, to, out, folder=folder)


@app.command()
def submission(
    folder: Annotated[Path, typer.Argument(help="The challenge's folder.")],
    bundle: Annotated[Path | None, typer.Option(help="Another model bundle.")] = None,
    to: Annotated[Path, typer.Option("--out", help="The CSV to write.")] = Path("submission.csv"),
) -> None:
    """Read the test films and write them in the challenge's format."""
    from commands.report import submission as write_submission

    if not write_submission(folder, bundle, to, out):
        raise typer.Exit(1)


@app.command()
def evaluate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[BUNDLE] [FOLDER]...",
            help="A bundle (unnamed: the packaged one) and a folder of labelled films; with"
            " --out-of-fold all folders that it was trained on.",
        ),
    ] = None,
    out_of_fold: Annotated[
        bool, typer.Option("--out-of-fold", help="Judge the predictions that the bundle keeps.")
    ] = False,
    against: Annotated[Path | None, typer.Option(help="Another bundle to compare with.")] = None,
    to: Annotated[Path, typer.Option("--out", help="Folder of the report.")] = Path(
        "runs/evaluation"
    ),
    draws: Annotated[int, typer.Option(min=20, help="Bootstrap samples of an interval.")] = 1000,
) -> None:
    """Measure a bundle on labelled films: a page, JSON, and a table of all predictions."""
    from commands.evaluate import evaluate as evaluate_bundle

    evaluate_bundle(
        paths or [],
        _load().settings,
        to,
        out,
        out_of_fold=out_of_fold,
        against=against,
        draws=draws,
    )


@app.command("train-bundle")
def train_bundle(
    rsna: Annotated[Path, typer.Argument(help="The RSNA challenge's folder.")],
    to: Annotated[Path, typer.Option("--out", help="The bundle's folder.")] = Path("runs/bundle"),
    nih: Annotated[
        Path | None, typer.Option(help="A folder of NIH films to train on too, with less weight.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="ImageNet weights of the backbone, without its top.")
    ] = None,
    size: Annotated[
        Literal["small", "large"],
        typer.Option(help="small: MobileNetV2, for CPUs; large: EfficientNetV2-S."),
    ] = "small",
    precision: Annotated[
        Literal["float32", "mixed_float16", "mixed_bfloat16"],
        typer.Option(help="Number format of the layers in training."),
    ] = "float32",
    version: Annotated[str, typer.Option(help="The bundle's version.")] = "1",
) -> None:
    """Train, measure and write a bundle such as the packaged one. A stopped run goes on."""
    from commands.train_bundle import train_bundle as make_bundle

    make_bundle(rsna, nih, weights, to, out, version=version, size=size, precision=precision)


def main() -> None:
    """Run the command line; what a person can mend is told in one sentence."""
    from commands.errors import explain

    try:
        app()
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        _fail(sentence, 2)


def _say(sentence: str) -> None:
    out.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _load() -> Loaded:
    try:
        loaded = load(_Options.overrides, config=_Options.config)
    except SettingsError as error:
        _fail(str(error), 2)
        raise
    for key, origin in plain_secrets(loaded.settings, loaded.origins):
        if origin == COMMAND_LINE:
            _fail(
                f"{key}: everybody on this machine can read a secret on the command line; name"
                " where it stands (file:PATH or env:NAME), or set it in hilum.toml",
                2,
            )
    return loaded


def _password(file: Path | None) -> str | None:
    """Read a password from the first line of a file; a command line is no place for one."""
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"--password-file {file} cannot be read: {error}") from None


def _refuse_missing(paths: list[Path]) -> None:
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise typer.BadParameter(f"{missing[0]}: no such file or folder")


def _client_tls(enabled: bool, ca: Path | None, certificate: Path | None) -> ClientTls:
    if not enabled and (ca or certificate):
        raise typer.BadParameter("--tls-ca and --tls-certificate need --tls")
    return ClientTls(enabled=enabled, ca=ca, certificate=certificate)


def _peer(
    host: str, port: int | None, called: str | None, calling: str | None, tls: ClientTls
) -> Any:
    """Return whom to call; what is not given is our own listener's."""
    from commands.wanted import ae_title
    from scp_service.store_scu import Peer

    listener = _load().settings.listener
    ours = listener.ae_title
    called = ae_title("--called", called or ours)
    calling = ae_title("--calling", calling or ours)
    own_port = listener.tls.port if tls.enabled else listener.port
    return Peer(host, port or own_port, called, calling, 30, tls)


def _parse(assignment: str) -> tuple[str, Any]:
    """Split KEY=VALUE; the value is read as TOML where it is TOML, else taken as text."""
    key, equals, text = assignment.partition("=")
    if not equals or not key.strip():
        raise typer.BadParameter(f"--set {assignment}: KEY=VALUE is needed")
    try:
        return key.strip(), tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), text.strip()


def _environment() -> dict[str, str]:
    """Return the environment for child processes: ours, with file and overrides passed on."""
    environment = dict(os.environ)
    if _Options.config is not None:
        environment[CONFIG_VARIABLE] = str(_Options.config.absolute())
    for key, value in _Options.overrides.items():
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        environment["HILUM_" + key.replace(".", "__").upper()] = text
    if _bundle_is_fixed():
        environment[_FIXED_VARIABLE] = "1"
    return environment


def _bundle_is_fixed() -> bool:
    """Tell whether the command line names the bundle, so that no other one is activated."""
    return "worker.bundle" in _Options.overrides or _FIXED_VARIABLE in os.environ


def _fail(sentence: str, code: int) -> None:
    for line in sentence.splitlines():
        err.print(f"hilum: {line}", markup=False, highlight=False, soft_wrap=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
