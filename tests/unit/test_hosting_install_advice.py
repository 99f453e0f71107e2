"""The advice fits the cause. The outputs are uv's own, as it prints them in these cases."""

from __future__ import annotations

import pytest

from server.hosting.install.install_advice import advice_for

SOURCE = "requirements.txt of Mine"
NO_SOLUTION = "error: No solution found when resolving dependencies\n  cause: "
BUILD = (
    "error: Failed to build `cbad @ file:///src`\n  cause: The build backend returned an error\n"
    "  cause: Call to `setuptools.build_meta:__legacy__.build_wheel` failed (exit status: 1)\n\n         [stderr]\n"
)
UNKNOWN = f"{NO_SOLUTION}Because nonesuch was not found in the package registry and you require nonesuch, we can"


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (UNKNOWN, "no package nonesuch. Correct the name in requirements.txt of Mine"),
        ("error: Distribution not found at: file:///m/nothing", "nothing at file:///m/nothing. Correct the path"),
        (f"{NO_SOLUTION}Because there is no version of msgspec==99.9 and you", "no msgspec==99.9 to be had"),
        (f"{NO_SOLUTION}Because there are no versions of thing and you require thing", "no thing to be had"),
        (
            "error: Couldn't parse requirement in `r3` at position 0\n  cause: no such comparison operator",
            "line of requirements.txt of Mine cannot be read",
        ),
        (
            f"{NO_SOLUTION}Because the current Python version (3.11.7) does not satisfy Python>=3.99 and needs==1",
            "needs Python>=3.99, and this is 3.11.7",
        ),
        (f"{NO_SOLUTION}Because a==1 depends on b<2 and you require b>2, we can conclude", "cannot be had together"),
        (
            "error: Failed to fetch: https://host.invalid/simple/msgspec/\n  cause: client error (Connect)\n"
            "  cause: dns error",
            "Check the network",
        ),
        (
            "error: Failed to fetch: http://127.0.0.1:9/simple/x/\n  cause: tcp connect error\n"
            "  cause: Connection refused (os error 111)",
            "Check the network",
        ),
        (
            "error: Failed to fetch: http://i/500/x/\n  cause: HTTP status server error (500 Internal Server Error) "
            "for url (http://i/500/x/)",
            "Check the network",
        ),
        (
            "error: Failed to download\n  cause: HTTP status client error (404 Not Found) for url (http://i/x.whl)",
            "http://i/x.whl answers 404 Not Found. Correct the address",
        ),
        (
            f"{UNKNOWN}\n\nhint: An index URL (http://i/) could not be queried due to a lack of valid authentication "
            "credentials (401 Unauthorized)",
            "asks for a login",
        ),
        (f"{UNKNOWN}\n\nhint: An index (http://i/) returned a 403 Forbidden error. Check that", "asks for a login"),
        ("error: Failed to fetch: https://i/\n  cause: invalid peer certificate: UnknownIssuer", "not trusted"),
        (
            "error: Failed to install: numpy-2.4.6.whl\n  cause: Failed to copy to `/e/libs`\n  cause: failed to copy "
            "file: No space left on device (os error 28)",
            "disk is full",
        ),
        (f"{BUILD}c++: fatal error: Killed signal terminated program cc1plus", "memory ran out"),
        (f"{BUILD}error: [Errno 2] No such file or directory: '/usr/bin/x86_64-cc'", "build-essential"),
        (f"{BUILD}CMake Error: CMAKE_C_COMPILER not set, after EnableLanguage", "build-essential"),
        (f"{BUILD}cbad.c:1:11: error: expected declaration specifiers", "The network is fine: cbad could not be built"),
        ("error: failed to create directory `/e`\n  cause: Permission denied (os error 13)", "Mend its rights"),
        ("error: something new", ""),
    ],
)
def test_the_advice_fits_the_cause(output: str, words: str) -> None:
    said = advice_for(output.splitlines(), SOURCE)
    assert words in said
    assert bool(said) == bool(words)
    assert ("network" in said) == ("network" in words)
