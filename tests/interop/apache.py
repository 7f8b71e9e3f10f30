"""Runs Apache with mod_auth_openidc in front of one page, as a relying party of a node."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template

import aiohttp

__all__ = ["running_apache"]

_APACHE = "/usr/sbin/apache2"
_MODULES = "/usr/lib/apache2/modules"
_READY_S, _PAUSE_S = 20, 0.05
_CONFIGURATION = Template("""
ServerRoot "$folder"
ServerName 127.0.0.1
Listen 127.0.0.1:$port
PidFile "$folder/pid"
ErrorLog "$folder/error.log"
DefaultRuntimeDir "$folder"
$user
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authn_core_module $modules/mod_authn_core.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule authz_user_module $modules/mod_authz_user.so
LoadModule dir_module $modules/mod_dir.so
LoadModule headers_module $modules/mod_headers.so
LoadModule mime_module $modules/mod_mime.so
LoadModule auth_openidc_module $modules/mod_auth_openidc.so
TypesConfig /dev/null
AddType text/html .html
DirectoryIndex index.html
DocumentRoot "$folder/site"

OIDCProviderMetadataURL $issuer/.well-known/openid-configuration
OIDCClientID $client_id
OIDCClientSecret $secret
OIDCProviderTokenEndpointAuth client_secret_basic
OIDCRedirectURI $origin/private/callback
OIDCCryptoPassphrase only-for-this-test
OIDCScope "openid profile identity"
OIDCPKCEMethod S256
OIDCPassIDTokenAs claims
OIDCPassUserInfoAs claims
OIDCPassClaimsAs environment

<Location /private>
  AuthType openid-connect
  Require valid-user
  Header set X-Claim-Sub "%{OIDC_CLAIM_sub}e"
  Header set X-Claim-Iss "%{OIDC_CLAIM_iss}e"
  Header set X-Claim-Acr "%{OIDC_CLAIM_acr}e"
  Header set X-Claim-Name "%{OIDC_CLAIM_name}e"
</Location>
""")


@asynccontextmanager
async def running_apache(origin: str, issuer: str, client_id: str, secret: str) -> AsyncIterator[None]:
    """Apache at `origin`, with one page below ``/private`` that only who is logged in sees."""
    folder = await asyncio.to_thread(_laid_out, origin, issuer, client_id, secret)
    process = await asyncio.create_subprocess_exec(
        *(_APACHE, "-f", str(folder / "apache.conf"), "-DFOREGROUND"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _is_up(origin)
        yield
    finally:
        process.terminate()
        await process.wait()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _laid_out(origin: str, issuer: str, client_id: str, secret: str) -> Path:
    """Its folder, which its unprivileged user can read, with configuration and site."""
    folder = Path(tempfile.mkdtemp(prefix="yrd-apache-"))
    folder.chmod(0o755)
    site = folder / "site" / "private"
    site.mkdir(parents=True)
    (site / "index.html").write_text("<!doctype html><title>private</title>", "utf-8")
    said = _CONFIGURATION.substitute(
        folder=folder,
        modules=_MODULES,
        port=origin.rpartition(":")[2],
        origin=origin,
        issuer=issuer,
        client_id=client_id,
        secret=secret,
        # It does not serve as root, and has an unprivileged user on every Debian.
        user="User www-data\nGroup www-data" if os.geteuid() == 0 else "",
    )
    (folder / "apache.conf").write_text(said, "utf-8")
    return folder


async def _is_up(origin: str) -> None:
    async with asyncio.timeout(_READY_S), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(f"{origin}/", allow_redirects=False):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(_PAUSE_S)
