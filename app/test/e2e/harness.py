# SPDX-License-Identifier: BSD-3-Clause
"""End-to-end tests: cases, and the processes they start.

A test script is a list of cases, functions that take a Workspace:

    def link_follows_peer(ws):
        \"""What the case shows.\"""
        host = TestPmd(ws, "host", vdevs=[...])
        ...
    main("net_weir_e2e", [link_follows_peer, ...])

main() runs each case in a workspace of its own and prints what weir-test prints; exit
code 0 passed, 1 failed, 77 all skipped. A case fails by any exception (check() and
wait_for() raise Failed), and then the ends of its processes' logs are shown; it is
skipped by Skip(reason), which the need_*() functions raise.

A workspace is a folder: logs, vhost-user sockets and DPDK's runtime folder are in it,
so two runs never meet. When it is left, however that is, its processes are killed, and
the folder is removed: on success, failure, Ctrl-C and SIGTERM by this process, on
SIGKILL the processes at least by the kernel (PR_SET_PDEATHSIG, which follows the
*thread* that started them: start processes in the main thread).

Timeouts are bounds on waiting for what must come; no case measures with them.
"""
import collections
import ctypes
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

SOURCE_ROOT = os.path.dirname(os.path.abspath(__file__)).rsplit("/app/", 1)[0]
BUILD_ROOT = os.environ.get("WEIR_BUILD_ROOT", os.path.join(SOURCE_ROOT, "build"))
EXIT_SKIPPED = 77
TIMEOUT_S = 30
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Skip(Exception):
    """The case cannot run here; the text says why."""


class Failed(Exception):
    """What was to be shown is not so; the text says what is."""


def check(condition, text):
    """Fail the case with the text unless the condition holds."""
    if not condition:
        raise Failed(text)


def check_equal(got, wanted, what):
    check(got == wanted, f"{what} is {got!r}, not {wanted!r}")


def wait_for(probe, what, timeout=TIMEOUT_S):
    """Call the probe until its answer is true, and return that."""
    end = time.monotonic() + timeout
    while not (answer := probe()):
        check(time.monotonic() < end, f"{what}: not within {timeout} s")
        time.sleep(0.02)
    return answer


def need_program(name):
    if shutil.which(name) is None:
        raise Skip(f"{name} is not installed")


def need_hugepages(mib):
    """Skip the case unless so much memory in 2 MiB pages is free."""
    path = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
    if not os.path.exists(path):
        raise Skip(f"{mib} MiB in huge pages needed, there is no {path}")
    with open(path, encoding="ascii") as f:
        free = int(f.read()) * 2
    if free < mib:
        raise Skip(f"{mib} MiB in huge pages needed, {free} free (devtools/setup.sh)")


def need_private_mounts():
    """Skip the case unless a process may mount what no other sees; a bare chroot, whose
    root is not a mount, does not let it."""
    need_program("unshare")
    p = subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.PIPE, text=True,
                       check=False)
    if p.returncode:
        raise Skip(f"a private mount is needed: {p.stderr.strip()}")


def need_built(soname):
    """The path of a shared object in the build folder; skip the case if it has none."""
    for folder in library_folders():
        if os.path.exists(os.path.join(folder, soname)):
            return os.path.join(folder, soname)
    raise Skip(f"{soname} is not in {BUILD_ROOT}")


def library_folders():
    """The build's folders that hold shared objects: libweir's and the drivers'."""
    found = glob.glob(f"{BUILD_ROOT}/lib/*.so") + glob.glob(f"{BUILD_ROOT}/drivers/**/*.so",
                                                            recursive=True)
    return sorted({os.path.dirname(path) for path in found})


Resources = collections.namedtuple("Resources", "rss_kib fds maps threads")


class Process:
    """A program in a workspace; its output goes to <name>.log there."""

    def __init__(self, ws, name, argv, env=None):
        self.ws, self.name = ws, name
        self.log_path = os.path.join(ws.path, name + ".log")
        env = dict(os.environ, RUNTIME_DIRECTORY=ws.run, **(env or {}))
        libs = library_folders() + env.get("LD_LIBRARY_PATH", "").split(":")
        env["LD_LIBRARY_PATH"] = ":".join(filter(None, libs))
        parent = os.getpid()

        def die_with_parent():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        # no signal between the start and the entry in the list of what is to be killed
        with signals_held(), open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(
                # line by line, so that what a log says stands in it at once
                ["stdbuf", "-oL", *argv], stdin=subprocess.PIPE, stdout=log, stderr=log,
                bufsize=0, cwd=ws.path, env=env, start_new_session=True,
                preexec_fn=die_with_parent)
            ws.processes.append(self)
        self.pid = self.popen.pid

    def log(self, since=0):
        """The log's text from a byte offset on."""
        with open(self.log_path, "rb") as f:
            f.seek(since)
            return f.read().decode(errors="replace")

    def log_mark(self):
        """Where the log ends now, for log() and wait_log()."""
        return os.path.getsize(self.log_path)

    def wait_log(self, pattern, since=0, timeout=TIMEOUT_S):
        """Wait until the log from `since` on matches; return the match."""
        def probe():
            ended = not self.alive()
            match = re.search(pattern, self.log(since))
            check(match or not ended, f"{self.name} ended with {self.popen.returncode} "
                                      f"before its log said '{pattern}'")
            return match
        return wait_for(probe, f"'{pattern}' in the log of {self.name}", timeout)

    def alive(self):
        return self.popen.poll() is None

    def wait(self, timeout=TIMEOUT_S):
        """Wait for its end; the exit code, negative for a signal."""
        wait_for(lambda: not self.alive(), f"the end of {self.name}", timeout)
        return self.popen.returncode

    def signal(self, number):
        """Signal the process alone."""
        self.popen.send_signal(number)

    def kill9(self):
        """Kill it and whatever it started. Nothing if it has ended."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()
        self.popen.stdin.close()

    def resources(self):
        """What it holds now: a leak shows as growth between two calls."""
        proc = f"/proc/{self.pid}"
        with open(f"{proc}/status", encoding="ascii", errors="replace") as f:
            rss = int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])
        with open(f"{proc}/maps", encoding="utf-8", errors="replace") as f:
            maps = sum(1 for _ in f)
        return Resources(rss, len(os.listdir(f"{proc}/fd")), maps,
                         len(os.listdir(f"{proc}/task")))


class signals_held:
    """Hold back what would interrupt, for as long as this is entered."""

    def __enter__(self):
        self.old = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def __exit__(self, *_):
        signal.pthread_sigmask(signal.SIG_SETMASK, self.old)


class Workspace:
    """A folder and the processes that live in it; see the top of this file."""

    def __init__(self):
        self.processes = []
        self.path = tempfile.mkdtemp(prefix="weir-")
        self.run = os.path.join(self.path, "run")
        os.mkdir(self.run)

    def socket(self, name):
        """A path for a socket."""
        return os.path.join(self.path, name + ".sock")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with signals_held():
            for process in reversed(self.processes):
                process.kill9()
            shutil.rmtree(self.path, ignore_errors=True)

    def show_logs(self, lines=30):
        """Print the end of every process's log."""
        for process in self.processes:
            ending = process.log().replace("\r", "").splitlines()[-lines:]
            print(f"    --- {process.name}, exit code {process.popen.poll()}, its log ends:")
            print("".join(f"    | {line}\n" for line in ending), end="")


def interrupt(number, _):
    raise SystemExit(128 + number)


def run_case(case):
    """Run one; its word in the output and the reason why it is not ok."""
    with Workspace() as ws:
        try:
            case(ws)
            return "ok", ""
        except Skip as reason:
            return "skipped", f": {reason}"
        except Failed as e:
            where = traceback.extract_tb(e.__traceback__)[1]
            reason = f"{os.path.basename(where.filename)}:{where.lineno}: {e}"
        except Exception as e:
            print("".join(f"    {line}\n" for line in traceback.format_exc().splitlines()),
                  end="")
            reason = f"{type(e).__name__}: {e}"
        ws.show_logs()
        return "FAILED", f": {reason}"


def main(name, cases):
    """Run the cases, or those named on the command line, and exit."""
    for number in SIGNALS:
        signal.signal(number, interrupt)
    by_name = {case.__name__: case for case in cases}
    for wanted in sys.argv[1:]:
        if wanted not in by_name:
            sys.exit(f"{name}: no case '{wanted}'; they are: {' '.join(by_name)}")
    count = {"ok": 0, "FAILED": 0, "skipped": 0}
    print(name, flush=True)
    for wanted in sys.argv[1:] or by_name:
        word, note = run_case(by_name[wanted])
        count[word] += 1
        print(f"  {word:9} {wanted}{note}", flush=True)
    print(f"{name}: {count['ok']} passed, {count['FAILED']} failed, {count['skipped']} skipped")
    if count["FAILED"]:
        sys.exit(1)
    sys.exit(0 if count["ok"] else EXIT_SKIPPED)
