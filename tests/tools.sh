#!/usr/bin/env bash
# Sees to what the tests need from the system: `tests/tools.sh test`, `tests/tools.sh interop`, `tests/tools.sh browser`,
# or several.
# What is missing is installed with apt when that is possible here; what then still is missing is named, with the
# package that brings it on Debian, and the exit code is 1.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=.venv/bin/python
[ -x "$PYTHON" ] || PYTHON=python3

has_softhsm2() { command -v softhsm2-util >/dev/null; }
has_curl() { command -v curl >/dev/null; }
has_sqlite3() { command -v sqlite3 >/dev/null; }
has_openssl() { command -v openssl >/dev/null; }
has_libcrypto() { "$PYTHON" -c 'import ctypes; ctypes.CDLL("libcrypto.so.3")' 2>/dev/null; }
has_node() { command -v node >/dev/null && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ]; }
has_npm() { command -v npm >/dev/null; }
has_go() { command -v go >/dev/null; }
has_chromium() { command -v chromium >/dev/null || command -v chromium-browser >/dev/null; }
has_chinese() { command -v fc-list >/dev/null && [ -n "$(fc-list :lang=zh-cn file 2>/dev/null)" ]; }
has_apache2() { [ -x /usr/sbin/apache2 ]; }
has_mod_auth_openidc() { [ -f /usr/lib/apache2/modules/mod_auth_openidc.so ]; }
has_sumdb() { [ -d /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog ]; }

needed() {
  case $1 in
    test) echo softhsm2 openssl libcrypto curl sqlite3 ;;
    interop) echo node npm go sumdb apache2 mod_auth_openidc ;;
    browser) echo chromium chinese node npm ;;
    *) echo "tests/tools.sh: test, interop or browser, not $1" >&2; exit 2 ;;
  esac
}

packages() {
  case $1 in
    softhsm2) echo softhsm2 ;;
    openssl) echo openssl ;;
    curl) echo curl ;;
    sqlite3) echo sqlite3 ;;
    libcrypto) apt-cache show libssl3t64 >/dev/null 2>&1 && echo libssl3t64 || echo libssl3 ;;
    chromium) echo chromium ;;
    chinese) echo fontconfig fonts-noto-cjk ;;
    node) echo nodejs ;;
    npm) echo npm ;;
    go) echo golang-go ;;
    sumdb) echo golang-golang-x-mod-dev ;;
    apache2) echo apache2-bin ;;
    mod_auth_openidc) echo libapache2-mod-auth-openidc ;;
  esac
}

describe() {
  case $1 in
    softhsm2) echo "softhsm2-util, a PKCS#11 token in software (on Debian: apt install softhsm2)" ;;
    openssl) echo "the openssl command (on Debian: apt install openssl)" ;;
    curl) echo "the curl command (on Debian: apt install curl)" ;;
    sqlite3) echo "the sqlite3 command (on Debian: apt install sqlite3)" ;;
    libcrypto) echo "libcrypto.so.3 of OpenSSL 3 (on Debian: apt install libssl3, or libssl3t64)" ;;
    node) echo "Node.js 20 or newer (on Debian 13: apt install nodejs; before, from nodejs.org), found: $(node --version 2>/dev/null || echo none)" ;;
    chromium) echo "Chromium (on Debian: apt install chromium)" ;;
    chinese) echo "a font with Chinese characters, and fontconfig (on Debian: apt install fontconfig fonts-noto-cjk)" ;;
    npm) echo "npm (on Debian: apt install npm)" ;;
    go) echo "the go command (on Debian: apt install golang-go)" ;;
    apache2) echo "Apache, started by no service (on Debian: apt install apache2-bin)" ;;
    mod_auth_openidc) echo "Apache's mod_auth_openidc (on Debian: apt install libapache2-mod-auth-openidc)" ;;
    sumdb) echo "golang.org/x/mod in /usr/share/gocode (on Debian: apt install golang-golang-x-mod-dev)" ;;
  esac
}

missing() {
  local part tool
  for part in "$@"; do
    for tool in $(needed "$part"); do "has_$tool" || echo "$tool"; done
  done
}

install() {
  local wanted=()
  for tool in "$@"; do wanted+=($(packages "$tool")); done
  apt_install "${wanted[@]}" || { apt-get update -qq >/dev/null 2>&1 && apt_install "${wanted[@]}"; }
}

apt_install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1; }

for part in "$@"; do needed "$part" >/dev/null; done
lacking=$(missing "$@")
[ -z "$lacking" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing for the tests:" $lacking "…"
  install $lacking
  hash -r
  lacking=$(missing "$@")
  [ -z "$lacking" ] && exit 0
fi
for tool in $lacking; do echo "Missing: $(describe "$tool")" >&2; done
exit 1
