#!/bin/sh
# Set up .venv for the product (`runtime`) or for the product and its tests (`test`).
# Says what it installs; the second run finds its stamp and does nothing.
set -eu
cd "$(dirname "$0")/.."
profile=${1:?runtime or test}
requirements=requirements/$profile.txt
say() { printf '· %s\n' "$*"; }
fail() { printf '✗ %s\n  %s\n  À faire : %s\n' "$1" "$2" "$3" >&2; exit 3; }

python=${PYTHON:-}
for candidate in python3.11 python3 python3.12 python3.13; do
    [ -n "$python" ] && break
    command -v "$candidate" >/dev/null 2>&1 || continue
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' && python=$candidate
done
[ -n "$python" ] || fail "Python 3.11 ou plus récent est introuvable." \
    "Relève a besoin de Python >= 3.11." "apt-get install python3 python3-venv"

if [ "$profile" = test ]; then
    missing=""
    [ -n "$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null)" ] || missing="$missing postgresql"
    command -v chromium >/dev/null 2>&1 || missing="$missing chromium fonts-dejavu-core"
    if [ -n "$missing" ]; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            say "paquets Debian pour les tests :$missing"
            # the package would start a cluster of its own: the tests bring theirs
            mkdir -p /etc/postgresql-common
            [ -e /etc/postgresql-common/createcluster.conf ] ||
                echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
            DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 update >/dev/null
            # shellcheck disable=SC2086
            DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install -y \
                --no-install-recommends $missing >/dev/null
        else
            fail "Il manque des paquets pour les tests :$missing." \
                "Ils s'installent avec les droits de root." "sudo apt-get install -y$missing"
        fi
    fi
fi

wanted=$(cat "$requirements" requirements/build.in pyproject.toml | sha256sum | cut -c1-64)
# a checkout that was moved has scripts that point to where it was
here=$(pwd)
for stamp in .venv/.releve-test .venv/.releve-runtime; do
    [ "$profile" = test ] && [ "$stamp" = .venv/.releve-runtime ] && continue
    [ "$profile" = runtime ] && [ "$stamp" = .venv/.releve-test ] &&
        other=$(cat requirements/test.txt requirements/build.in pyproject.toml | sha256sum | cut -c1-64) ||
        other=$wanted
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$other $here" ] && [ -x .venv/bin/releve ] && exit 0
done

if [ -d .venv ] && ! grep -qsxF "$here" .venv/.releve-home; then
    say "environnement virtuel d'un autre dossier : reconstruit"
    rm -rf .venv
fi
if [ ! -x .venv/bin/python ]; then
    say "environnement virtuel .venv ($python)"
    "$python" -m venv .venv || fail "L'environnement virtuel n'a pas pu être créé." \
        "Le module venv de Python manque, ou le dossier n'est pas inscriptible." \
        "apt-get install python3-venv"
fi
say "dépendances : $(grep -c '==' "$requirements") paquets de $requirements"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    --root-user-action=ignore --require-hashes --only-binary :all: -r "$requirements" ||
    fail "Les dépendances n'ont pas pu être installées." \
        "Le registre de paquets ne répond pas, ou une empreinte ne correspond pas." \
        "vérifier le réseau, puis relancer"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    --root-user-action=ignore --no-deps --no-build-isolation -e .
printf '%s\n' "$here" > .venv/.releve-home
printf '%s %s\n' "$wanted" "$here" > ".venv/.releve-$profile"
