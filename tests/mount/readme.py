"""readme.py README.md [--write]: run the console blocks of a page and compare what comes out.

Lines that begin with "$ " are commands of one bash; what stands below is their output, stderr
included. --write puts the real output there. The number at the end of a tile's name depends on
timing and is not compared.
"""
import re
import subprocess
import sys

path = sys.argv[1]
text = open(path, encoding="utf-8").read()
shell = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, encoding="utf-8")
END = "--end of output--"


def run(command):
    shell.stdin.write(f"{command}\necho '{END}'\n")
    shell.stdin.flush()
    out = []
    for line in shell.stdout:
        if line.rstrip("\n").endswith(END):
            return out
        # As an interactive bash prints it: without the number of a script's line.
        out.append(re.sub(r"^bash: line \d+: ", "bash: ", line.rstrip("\n")))
    sys.exit(f"bash ended at: {command}")


def same(a, b):
    mask = lambda s: re.sub(r"_\d{6}\.parquet", "_N.parquet", s)
    return [mask(x) for x in a] == [mask(x) for x in b]


bad = commands = 0


def block(match):
    global bad, commands
    parts = re.split(r"(?m)^\$ ", match[1])[1:]
    out = []
    for part in parts:
        command, *want = part.rstrip("\n").split("\n")
        got = run(command)
        commands += 1
        if not same(want, got):
            bad += 1
            print(f"$ {command}\n  expected: {want}\n  got:      {got}")
        out += ["$ " + command] + (want if same(want, got) else got)
    return "```console\n" + "\n".join(out) + "\n```"


new = re.sub(r"```console\n(.*?)\n```", block, text, flags=re.S)
if "--write" in sys.argv[2:]:
    open(path, "w", encoding="utf-8").write(new)
    print(f"{commands} commands, {bad} outputs renewed")
elif bad or not commands:
    sys.exit(f"{commands} commands, {bad} of them print something else")
