#!/bin/sh
# A Chromium for chart files and browser tests: an installed one first, then Playwright's own
# installer, then the system's package manager. Everything else works without, so this only warns.
bin=$1
find_browser() {
    for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do
        command -v "$name" >/dev/null 2>&1 && return 0
    done
    return 1
}
find_browser && exit 0
"$bin/python" -m playwright install --with-deps chromium >/dev/null 2>&1 && exit 0
if command -v apt-get >/dev/null 2>&1; then
    as_root=""
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    { $as_root apt-get update -qq && $as_root apt-get install -y -qq chromium; } >/dev/null 2>&1
elif command -v dnf >/dev/null 2>&1; then
    sudo -n dnf install -y -q chromium >/dev/null 2>&1
elif command -v pacman >/dev/null 2>&1; then
    sudo -n pacman -S --noconfirm chromium >/dev/null 2>&1
fi
find_browser && exit 0
echo "No Chromium could be installed: chart files (PDF, SVG, PNG) and browser tests need one; install chromium with your package manager." >&2
exit 0
