"""docs/cli.md has every command, argument, option, default and JSON shape of the program."""

from __future__ import annotations

import contextlib
import enum
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer

from releve.api.bench.measure import Case, measure
from releve.api.cli import app
from releve.api.cli import runner as cli
from releve.api.cli.bench import Bench
from releve.api.demo.generator import Sizes
from support.postgres import Database

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
BUNDLE = ROOT / "tests" / "conformance" / "data" / "ips" / "examples" / "Bundle-bundle-minimal.json"
COMMON = {"--state-dir", "--database-url", "--json"}

# What the page says


def section(title: str) -> str:
    """The text under a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no section {title!r}"
    return found[1]


def documented() -> dict[str, str]:
    """Command path -> heading as written, arguments included."""
    titles = re.findall(r"^### `(releve .+?)`$", PAGE, re.MULTILINE)
    word = re.compile(r"(?<![\[\w-])[a-z]+(?:-[a-z]+)*(?![\]\w])")
    return {" ".join(word.findall(title)): title for title in titles}


def options_told(text: str) -> dict[str, str]:
    """Option -> default, of the table in a section."""
    return dict(re.findall(r"^\| `(--[a-z-]+)` \| (.+?) \| .+ \|$", text, re.MULTILINE))


def shape_told(text: str, which: str = "JSON") -> Any:
    """The shape after ``JSON:`` (or another name for it) in a section."""
    found = re.search(rf"(?m)^{re.escape(which)}: `(\{{.*?\}})`", text)
    assert found is not None, f"no line {which!r}"
    return parsed(found[1])


def parsed(text: str) -> Any:
    """Read ``{"a","b":[{"c"}]}``: a map of keys, each with its own shape or None."""
    rest = re.findall(r'"[^"]*"|[{}\[\]:,]', text)

    def value() -> Any:
        sign = rest.pop(0)
        if sign == "[":
            inner = value()
            assert rest.pop(0) == "]"
            return [inner]
        assert sign == "{"
        found: dict[str, Any] = {}
        while rest[0] != "}":
            key = rest.pop(0).strip('"')
            found[key] = None
            if rest[0] == ":":
                rest.pop(0)
                found[key] = value()
            if rest[0] == ",":
                rest.pop(0)
        rest.pop(0)
        return found

    return value()


def compare(shape: Any, found: Any, where: str = "") -> None:
    """Fail unless objects have exactly the keys that the shape names."""
    if isinstance(shape, list):
        assert isinstance(found, list), where
        for each in found:
            compare(shape[0], each, f"{where}[]")
    elif shape is not None:
        assert isinstance(found, dict), where
        assert set(found) == set(shape), where
        for key, inner in shape.items():
            compare(inner, found[key], f"{where}.{key}")


def test_a_shape_that_lacks_or_adds_a_key_is_found() -> None:
    shape = parsed('{"a","b":[{"c"}],"d":{"e"}}')
    compare(shape, {"a": 1, "b": [{"c": 2}], "d": {"e": None}})
    for wrong in (
        {"a": 1, "b": [], "d": {}},
        {"a": 1, "b": [{"c": 2, "x": 0}], "d": {"e": 1}},
        {"a": 1, "b": [], "d": {"e": 1}, "f": 2},
    ):
        with pytest.raises(AssertionError):
            compare(shape, wrong)


# Commands, arguments, options


def commands() -> dict[str, Any]:
    """Every command that runs something, by its path; a group counts when it has options."""
    found: dict[str, Any] = {}

    def walk(command: Any, path: str) -> None:
        inner: Mapping[str, Any] = getattr(command, "commands", {})
        if not inner or (path != "releve" and command.params):
            found[path] = command
        for name, each in inner.items():
            walk(each, f"{path} {name}")

    walk(typer.main.get_command(app), "releve")
    return found


def own_options(command: Any) -> dict[str, Any]:
    """Option -> parameter, without those every command has."""
    return {
        name: parameter
        for parameter in command.params
        if parameter.param_type_name == "option"
        for name in parameter.opts
        if name not in COMMON
    }


def test_every_command_has_its_section_and_no_other_has_one() -> None:
    assert sorted(documented()) == sorted(commands())


@pytest.mark.parametrize("path", sorted(commands()))
def test_a_section_names_every_argument_and_option(path: str) -> None:
    command, title = commands()[path], documented()[path]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    assert [re.sub(r"\W", "", each) for each in title.split()[len(path.split()) :]] == [
        each.name.upper() for each in arguments
    ]
    for each in arguments:
        assert (f"[{each.name.upper()}]" in title) == (not each.required)
    told = options_told(section(f"`{title}`"))
    assert sorted(told) == sorted(own_options(command))
    for name, parameter in own_options(command).items():
        default = told[name].strip("`").replace(",", "")
        if parameter.required:
            assert default == "required", name
        elif isinstance(parameter.default, bool):
            assert default == ("on" if parameter.default else "off"), name
        elif isinstance(parameter.default, enum.Enum):
            assert default == parameter.default.value, name
            for choice in type(parameter.default):
                assert f"`{choice.value}`" in section(f"`{title}`"), name
        elif parameter.default is None:
            assert default == _SET_ELSEWHERE.get((path, name), "none"), name
        else:
            assert default == str(parameter.default), name


_SET_ELSEWHERE = {
    **{("releve demo", f"--{name}"): str(getattr(Sizes(), name))
       for name in ("patients", "weeks", "centres", "seed")},
    ("releve demo", "--port"): "RELEVE_PORT",
    ("releve serve", "--port"): "RELEVE_PORT",
    ("releve serve", "--host"): "RELEVE_HOST",
}  # fmt: skip
"""Options without a default of their own: where the default comes from."""


def test_the_options_of_every_command_and_of_none_are_named() -> None:
    assert set(options_told(section("Every command"))) == COMMON
    root = typer.main.get_command(app)
    for parameter in root.params:
        for name in parameter.opts:
            assert f"`{name}`" in section("Every command")


def test_every_benchmark_is_named() -> None:
    text = section("`releve bench NAME`")
    assert set(
        re.findall(r"`([a-z-]+)`", text.partition("NAME is one of")[2].partition(".")[0])
    ) == {each.value for each in Bench}


def test_the_exit_codes_are_the_programs() -> None:
    told = re.findall(r"^\| (\d) \| (\w+)", section("Every command"), re.MULTILINE)
    assert [int(number) for number, _ in told] == [
        cli.DONE, cli.FAILED, cli.USAGE, cli.ENVIRONMENT, cli.DATABASE, cli.INTEGRITY,
    ]  # fmt: skip


# JSON shapes, by running the commands


class Program:
    """The program on one database and state directory, called as a shell calls it."""

    def __init__(self, directory: Path, url: str | None) -> None:
        self.directory = directory
        self.at = ["--state-dir", str(directory / "releve")]
        if url is not None:
            self.at += ["--database-url", url]

    def __call__(self, *arguments: str, exits: int | None = 0) -> dict[str, Any]:
        """The JSON object that a command prints last."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = cli.run(app, [*arguments, *self.at, "--json"])
        assert exits is None or code == exits, out.getvalue()
        found: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
        return found

    def file(self, name: str) -> str:
        """A path for a command to write to."""
        return str(self.directory / name)


@pytest.fixture(scope="module")
def program(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The program with a small demo built by ``demo --check``, whose own shape is checked."""
    made = Program(tmp_path_factory.mktemp("cli"), module_database.superuser_url)
    shown = made("demo", "--check", "--patients", "30", "--weeks", "3")
    compare(shape_told(section("`releve demo`"), "JSON of `--check`"), shown)
    return made


def shown(program: Program, title: str, *arguments: str, which: str = "JSON") -> dict[str, Any]:
    """Run a command, compare what it prints with its section, and give it."""
    found = program(*arguments)
    compare(shape_told(section(f"`releve {title}`"), which), found)
    return found


@pytest.mark.postgres
@pytest.mark.slow
class TestShapes:
    def test_of_the_demo(self, program: Program) -> None:
        personas = shown(program, "demo personas", "demo", "personas")["personas"]
        assert len(personas) > 3
        shown(program, "demo token PERSONA", "demo", "token", "present")

    def test_of_the_database(self, program: Program) -> None:
        which = "JSON with `--database-url`"
        shown(program, "db status", "db", "status", which=which)
        shown(program, "db migrate", "db", "migrate")
        shown(program, "db url", "db", "url")
        shown(program, "db dump", "db", "dump", "--out", program.file("dump.sql"))
        embedded = Program(program.directory, None)
        assert not shown(embedded, "db status", "db", "status")["running"]

    def test_of_the_record(self, program: Program) -> None:
        imported = shown(program, "import fhir FILES...", "import", "fhir", str(BUNDLE))
        assert imported["unmapped"] or imported["events"]
        pdf = Path(program.file("letter.pdf"))
        pdf.write_bytes(b"%PDF-1.4\n%%EOF\n")
        deposited = shown(program, "import pdf FILES...", "import", "pdf", str(pdf))
        assert len(deposited["documents"]) == deposited["events"] == 1
        again = shown(program, "import cda FILES...", "import", "cda", str(pdf))
        assert again["duplicates"] == [str(pdf)]
        log = Path(program.file("phone.csv"))
        log.write_text(
            "nom;prenom;naissance;loinc;examen;valeur;unite;appelant;heure;relu\n"
            "ESSAI;Camille;1950-01-01;2823-3;Potassium;6,4;mmol/L;Laboratoire;;oui\n",
            encoding="utf-8",
        )
        phoned = shown(program, "import phone-log FILES...", "import", "phone-log", str(log))
        assert phoned["events"] == 1
        agenda = Path(program.file("agenda.csv"))
        agenda.write_text("Date;Heure;Nom;Prénom\n24/11/2026;09:15;ESSAI;Jean\n", encoding="utf-8")
        compare(
            shape_told(section("`releve import day-list FILES...`")),
            program("import", "day-list", str(agenda), exits=cli.FAILED),
        )
        listed = shown(program, "command [NAME]", "command", "--list", which="JSON of `--list`")
        example = next(
            each["example"] for each in listed["commands"] if each["name"] == "open-item"
        )
        data = Path(program.file("item.json"))
        data.write_text(json.dumps(example), encoding="utf-8")
        rows = shown(program, "briefing", "briefing")["rows"]
        patient = rows[0]["patient"]
        shown(program, "command [NAME]", "command", "open-item", "--as", "present",
              "--patient", patient, "--data", str(data))  # fmt: skip
        replayed = shown(program, "replay PATIENT", "replay", patient)
        assert replayed["entries"]
        assert replayed["open_items"]
        title = "rebuild [PROJECTION]"
        assert shown(program, title, "rebuild", "--check")["identical"]
        found = shown(program, title, "rebuild", "--parked", which="JSON of `--parked`")
        assert found == {"whole": 0, "parked": 0}
        program("rebuild", "inbox", "--parked", exits=cli.USAGE)

    def test_of_evidence(self, program: Program) -> None:
        patient = program("briefing")["rows"][0]["patient"]
        assert shown(program, "verify [EXPORT]", "verify")["verified"]
        export = program.file("record.zip")
        shown(program, "export audit", "export", "audit", "--patient", patient, "--out", export)
        assert shown(program, "verify [EXPORT]", "verify", export)["verified"]
        summary = program.file("summary.json")
        shown(program, "export fhir", "export", "fhir", "--patient", patient, "--out", summary)

    def test_of_the_rules(self, program: Program) -> None:
        found = shown(program, "rules status", "rules", "status")
        older = next(
            each["release"] for each in found["releases"] if each["release"] != found["in_force"]
        )
        title = "rules activate RELEASE"
        assert shown(program, title, "rules", "activate", older)["activated"]
        assert program("rules", "status")["in_force"] == older
        assert shown(program, title, "rules", "activate", found["in_force"])["activated"]
        assert not shown(program, title, "rules", "activate", found["in_force"])["activated"]
        refused = program("rules", "activate", "1999-01", exits=cli.USAGE)
        assert refused["error"]["code"] == "unknown-release"

    def test_of_the_machine(self, program: Program) -> None:
        found = program("doctor", exits=None)  # a taken port is this machine's affair
        compare(shape_told(section("`releve doctor`")), found)

    def test_of_an_error(self, program: Program) -> None:
        shape = re.search(r"in the shape `(.+?)`", section("Every command"))
        assert shape is not None
        compare(parsed(shape[1]), program("replay", "pas-un-identifiant", exits=cli.USAGE))

    def test_of_a_benchmark(self) -> None:
        report = measure("fold", "ms", "lower", {"one": Case(lambda: 1.0)}, rounds=1)
        text = section("`releve bench NAME`")
        compare(shape_told(text), report.data())
        case = re.search(r"each case is `(.+?)`", text)
        assert case is not None
        compare(parsed(case[1]), report.data()["cases"]["one"])
