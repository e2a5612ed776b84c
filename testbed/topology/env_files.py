"""Files of environment variables, as Docker Compose reads them: a line `NAME=VALUE` for each."""

import re

_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,255})[ \t]*=[ \t]*(.*)")


def parse(text: str) -> dict[str, str]:
    """Return the variables in the text of a file.

    Empty lines and lines that start with # are ignored, and so is what follows " #" after a value without quotes.
    Quotes around a value are removed. Values are taken literally: $ refers to no other variable.

    Raises:
        ValueError: a line is none of these; it says which.
    """
    variables = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            raise ValueError(f"line {number} is not NAME=VALUE")
        name, value = match[1], match[2]
        if value[:1] in ("'", '"'):
            quoted = re.fullmatch(rf"{value[0]}([^{value[0]}]*){value[0]}[ \t]*(#.*)?", value)
            if quoted is None:
                raise ValueError(f"line {number} has a quote that does not end")
            variables[name] = quoted[1]
        else:
            variables[name] = re.split(r"(?:^|[ \t])#", value, maxsplit=1)[0].rstrip()
    return variables
