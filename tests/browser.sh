#!/bin/sh
# A browser for the tests of pages: nothing to do where Chromium or Chrome is with its driver; Debian's packages where
# they can be installed; else one line that says what is skipped.
if command -v chromedriver >/dev/null; then
    for browser in chromium chromium-browser google-chrome; do
        command -v "$browser" >/dev/null && exit 0
    done
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
        chromium chromium-driver; } >/dev/null 2>&1 && exit 0
fi
echo "No Chromium with chromedriver: tests in a browser will be skipped (Debian: apt-get install chromium chromium-driver)."
