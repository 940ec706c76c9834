"""What the shells offer with the scripts of `fairlead completion`. A shell that is not installed is a
skip, but for bash."""
import os
import shlex
import shutil
import subprocess
import tempfile
import unittest

from harness import DEADLINE_S, FAIRLEAD

COMMANDS = {"run", "publish", "peek", "check", "options", "completion", "help", "version"}


class Completion:
    """The same questions for each shell: `offered(line)` is the set of what is offered at its end."""

    shell = None

    def setUp(self):
        if not shutil.which(self.shell):
            self.skipTest(f"{self.shell} is not installed")
        self.folder = tempfile.mkdtemp(prefix="fairlead-completion-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        os.makedirs(os.path.join(self.folder, "bin"))
        for name in "fairlead", "daprd":
            os.symlink(FAIRLEAD, os.path.join(self.folder, "bin", name))
        os.mkdir(os.path.join(self.folder, "a-folder"))
        with open(os.path.join(self.folder, "a-file"), "w", encoding="ascii"):
            pass
        self.script = os.path.join(self.folder, "_fairlead")
        with open(self.script, "wb") as out:
            subprocess.run([FAIRLEAD, "completion", self.shell], check=True, stdout=out,
                           timeout=DEADLINE_S)

    def run_shell(self, *command):
        path = os.path.join(self.folder, "bin") + ":" + os.environ["PATH"]
        done = subprocess.run(command, check=False, capture_output=True, text=True,
                              timeout=DEADLINE_S, cwd=self.folder, stdin=subprocess.DEVNULL,
                              env={**os.environ, "PATH": path, "HOME": self.folder})
        self.assertEqual(done.stderr, "")
        return done.stdout

    def test_subcommands(self):
        self.assertEqual(self.offered("fairlead "), COMMANDS)
        self.assertEqual(self.offered("fairlead pu"), {"publish"})

    def test_flags_are_those_of_the_subcommand(self):
        self.assertEqual(self.offered("fairlead --app-pro"), {"--app-protocol"})
        self.assertEqual(self.offered("fairlead peek --cou"), {"--count"})
        self.assertEqual(self.offered("fairlead publish --cou"), set())
        self.assertEqual(self.offered("fairlead check --js"), {"--json"})

    def test_values(self):
        self.assertEqual(self.offered("fairlead run --log-level "),
                         {"debug", "info", "warn", "error", "fatal"})
        self.assertEqual(self.offered("fairlead run -P h"), {"http", "https"})
        self.assertEqual(self.offered("fairlead completion "), {"bash", "zsh", "fish"})

    def test_files_and_folders(self):
        self.assertEqual(self.offered("fairlead run --config a-"), {"a-file", "a-folder"})
        self.assertEqual(self.offered("fairlead run -d a-"), {"a-folder"})
        self.assertEqual(self.offered("fairlead check a-"), {"a-folder"})

    def test_types_come_from_the_program(self):
        self.assertEqual(self.offered("fairlead options pubsub.in"), {"pubsub.in-memory"})

    def test_behind_run_the_application_counts(self):
        self.assertIn("nohup", self.offered("fairlead run --app-id x nohu"))
        self.assertIn("nohup", self.offered("fairlead run -p 3000 -- nohu"))
        self.assertEqual(self.offered("fairlead run -a x cat a-fi"), {"a-file"})

    def test_daprd_has_no_subcommands(self):
        self.assertEqual(self.offered("daprd --app-pro"), {"--app-protocol"})
        self.assertFalse(self.offered("daprd ") & COMMANDS)


class Bash(Completion, unittest.TestCase):
    shell = "bash"

    def offered(self, line):
        words = shlex.split(line)
        if line.endswith(" "):
            words.append("")
        parts = []
        for word in words:  # as Readline parts words
            name, equals, value = word.partition("=")
            parts += [name, "=", value] if equals else [word]
        text = ("source ./_fairlead; COMP_WORDS=(" + " ".join(map(shlex.quote, parts)) +
                f"); COMP_CWORD={len(parts) - 1}; _fairlead; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        out = self.run_shell("bash", "--norc", "--noprofile", "-c", text)
        return {found for found in out.splitlines() if found}

    def test_an_equals_sign_parts_words(self):
        self.assertEqual(self.offered("fairlead run --log-level=de"), {"debug"})
        self.assertIn("nohup", self.offered("fairlead run --app-id=x nohu"))


class Fish(Completion, unittest.TestCase):
    shell = "fish"

    def offered(self, line):
        out = self.run_shell("fish", "--no-config", "-c",
                             f"source ./_fairlead; complete -C {shlex.quote(line)}")
        return {found.split("\t")[0].rstrip("/") for found in out.splitlines()}


# Completion in zsh needs a terminal; the shell's own module for pseudo-terminals gives one. What is
# offered is asked of `compadd` itself, in a widget that lists in place of inserting.
ZSH = r'''
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner "PS1=; PROMPT_EOL_MARK=; cd $PWD; stty -echo; fpath=($PWD \$fpath); source $PWD/setup.zsh"
zpty -w inner "print -r -- rea''dy"
zpty -r -m inner out '*ready*'
zpty -n -w inner $LINE$'\t'
zpty -r -m inner out '*<<*>>*'
out=${out##*<<}
print -r -- ${out%%>>*}
'''
ZSH_SETUP = r'''
autoload -Uz compinit
compinit -u -D
list-all() {
    local -a found
    compadd() {
        if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
            builtin compadd "$@"
            return
        fi
        local -a matches
        builtin compadd -O matches "$@"
        found+=($matches)
        builtin compadd "$@"
    }
    _main_complete "$@"
    unfunction compadd
    print -r -- "<<${(j: :)found}>>"
    compstate[insert]=
    compstate[list]=
}
zle -C list-all complete-word list-all
bindkey '^I' list-all
'''


class Zsh(Completion, unittest.TestCase):
    shell = "zsh"

    def offered(self, line):
        for name, text in (("setup.zsh", ZSH_SETUP), ("outer.zsh", ZSH)):
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as out:
                out.write(text)
        out = self.run_shell("zsh", "-f", "-c",
                             f"LINE={shlex.quote(line)}; source ./outer.zsh")
        return {found.rstrip("=/") for found in out.split()}


if __name__ == "__main__":
    unittest.main()
