"""What the tools in this folder share: which C files the tree has, and their text taken apart.

A C file is split into code and comments without a parser: comments, strings and character
constants are the only things that can hide one another.
"""
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_PIECE = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def files(*suffixes):
    """Paths, relative to the root, of tracked and not-ignored files that end in one of these."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True,
        capture_output=True, check=False)
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
    else:
        names = [os.path.relpath(os.path.join(folder, name), ROOT)
                 for folder, _, found in os.walk(ROOT) for name in found
                 if not os.path.relpath(folder, ROOT).startswith(("build", ".git"))]
    return sorted({n for n in names
                   if n.endswith(suffixes) and os.path.isfile(os.path.join(ROOT, n))})


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def blank(text):
    """The same length and lines, nothing to see."""
    return re.sub(r"[^\n]", " ", text)


def code_of(text, keep_strings=True):
    """The text with its comments (and strings, if asked) blanked; positions stay."""
    def piece(match):
        found = match.group()
        if found.startswith(("//", "/*")) or not keep_strings:
            return blank(found)
        return found
    return _PIECE.sub(piece, text)


def comments_of(text):
    """(line number, text) of each comment."""
    return [(text.count("\n", 0, m.start()) + 1, m.group()) for m in _PIECE.finditer(text)
            if m.group().startswith(("//", "/*"))]


def includes_of(path):
    """(line number, included path) of each #include "..." or <...>."""
    found = []
    for number, line in enumerate(code_of(read(path)).splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*["<]([^">]+)[">]', line)
        if match:
            found.append((number, match.group(1)))
    return found
