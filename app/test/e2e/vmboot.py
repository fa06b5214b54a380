# SPDX-License-Identifier: BSD-3-Clause
"""A kernel and an initramfs for a virtual machine: for devtools/vm and the tests that have
a Linux guest.

The kernel is Debian's own, out of the package archive, unpacked into a cache and not
installed. The initramfs is busybox, the kernel's modules that are asked for, and
whatever files of the host's the caller adds.
"""
import glob
import hashlib
import lzma
import os
import re
import shutil
import stat
import subprocess
import tarfile
import tempfile

META_PACKAGE = "linux-image-amd64"
# what is kept of a kernel package: the image, its configuration, modules for VFIO and
# virtio's network
WANTED = re.compile(r"\./boot/(vmlinuz|config)-|.*/kernel/(drivers/vfio/|virt/lib/irqbypass|"
                    r"drivers/iommu/iommufd/|drivers/virt/lib/irqbypass|drivers/virtio/|"
                    r"drivers/net/(net_failover|virtio_net)|net/core/failover)")

# A kernel that looks whether timers tick, and starts on a host that has no time for it,
# panics: it is not to look.
COMMAND_LINE = ("console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check "
                "nokaslr oops=panic")


class Skip(Exception):
    """It cannot be done here; the text is the reason."""


def run(*command, cwd=None):
    """Run a command; its exit code and both its outputs in one string."""
    p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd,
                       text=True, errors="replace", check=False)
    return p.returncode, p.stdout


# ---- the kernel


def package_name():
    """The kernel package of today that Debian's metapackage stands for."""
    out = run("apt-cache", "depends", META_PACKAGE)[1]
    found = re.search(r"Depends: (linux-image-\S+)", out)
    return found[1] if found else None


def download(folder):
    """The kernel package's file, downloaded into a folder."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Skip("no kernel: this is no Debian, there is no apt-get; use --kernel")
    out = "apt knows of no " + META_PACKAGE
    for again in (False, True):
        # lists may be missing or outdated
        if again and os.geteuid() == 0:
            run("apt-get", "-q", "update")
        name = package_name()
        if name:
            code, out = run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name,
                            cwd=folder)
            if code == 0:
                return glob.glob(os.path.join(folder, "*.deb"))[0]
    raise Skip(f"no kernel package: {out.strip().splitlines()[-1]}")


def unpack(package, folder):
    """Take what is wanted out of a kernel package."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package],
                          stdout=subprocess.PIPE) as source:
        with tarfile.open(fileobj=source.stdout, mode="r|") as tar:
            for member in tar:
                if member.isfile() and WANTED.match(member.name):
                    with open(os.path.join(folder, os.path.basename(member.name)),
                              "wb") as out:
                        shutil.copyfileobj(tar.extractfile(member), out)


def stock_kernel(cache):
    """The folder of Debian's kernel: vmlinuz-*, config-* and modules; complete or not there."""
    name, kept = package_name(), hashlib.sha256(WANTED.pattern.encode()).hexdigest()[:8]
    folder = os.path.join(cache, f"{name}-{kept}") if name else None
    if folder and os.path.isdir(folder):
        return folder
    print(f"vm: getting the kernel, into {os.path.relpath(cache)}", flush=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".get-") as tmp:
        package = download(tmp)
        new = os.path.join(tmp, "new")
        os.mkdir(new)
        unpack(package, new)
        if not glob.glob(os.path.join(new, "vmlinuz-*")):
            raise Skip("no kernel: the package has none where Debian's have it")
        folder = os.path.join(cache, f"{os.path.basename(package).split('_')[0]}-{kept}")
        os.rename(new, folder)
    return folder


def missing(folder, needs):
    """What a kernel's configuration does not have of what is needed."""
    with open(glob.glob(os.path.join(folder, "config-*"))[0], encoding="ascii") as f:
        config = set(re.findall(r"^CONFIG_(\w+)=[ym]$", f.read(), re.M))
    return [need for need in needs if need not in config]


def find_kernel(cache, needs=(), kernel=None):
    """(image, folder of modules or None), a kernel that has what is needed.

    cache   the folder that holds Debian's, or is to
    needs   names in its configuration, without CONFIG_
    kernel  an image that is taken instead, with all it needs built in
    """
    if kernel:
        if not os.path.isfile(kernel):
            raise Skip(f"no kernel: {kernel} is not there")
        return kernel, None
    folder = stock_kernel(cache)
    lacks = missing(folder, needs)
    given = os.environ.get("WEIR_VM_KERNEL", "")
    if not lacks:
        return glob.glob(os.path.join(folder, "vmlinuz-*"))[0], folder
    if os.path.isfile(given):
        return given, None
    raise Skip(f"{os.path.basename(folder)} is built without {', '.join(lacks)}; "
               "name an image that has it in WEIR_VM_KERNEL, or by -Dvm_kernel="
               + (f" ({given} is not there)" if given else ""))


# ---- the guest's files


def module_file(folder, name):
    """A module's file, or None; '-' and '_' are the same to the kernel."""
    pattern = re.sub("[-_]", "[-_]", name)
    found = glob.glob(os.path.join(folder, pattern + ".ko")) + \
        glob.glob(os.path.join(folder, pattern + ".ko.xz"))
    return found[0] if found else None


def module_content(path):
    opener = lzma.open if path.endswith(".xz") else open
    with opener(path, "rb") as f:
        return f.read()


def modules(folder, names):
    """[(name, content)] of the modules named and what they depend on, in order."""
    done = {}

    def add(name):
        path = module_file(folder, name)
        if path is None or path in done:
            return
        content = module_content(path)
        done[path] = None
        depends = re.search(rb"\0depends=([^\0]*)\0", content)
        for dep in depends[1].decode().split(",") if depends and depends[1] else ():
            add(dep)
        # after what it depends on
        done.pop(path)
        done[path] = (name + ".ko", content)

    for name in names:
        add(name)
    return [m for m in done.values() if m]


class Archive:
    """An initramfs in the making, in cpio's `newc` format."""

    def __init__(self, out):
        self.out, self.names, self.inode = out, set(), 0

    def entry(self, name, mode, data=b"", device=(0, 0)):
        """One entry; the folders above it come first."""
        name = name.lstrip("/")
        if not name or name in self.names:
            return
        if os.path.dirname(name):
            self.entry(os.path.dirname(name), stat.S_IFDIR | 0o755)
        self.names.add(name)
        self.inode += 1
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        head = "070701" + "".join(f"{n:08x}" for n in fields) + name + "\0"
        for part in (head.encode(), data):
            self.out.write(part + bytes(-len(part) % 4))

    def link(self, name, target):
        self.entry(name, stat.S_IFLNK | 0o777, target.encode())

    def text(self, name, content):
        self.entry(name, stat.S_IFREG | 0o755, content.encode())

    def file(self, path):
        """A file of the host's, at the path it has there."""
        if path.startswith(("/lib/", "/lib64/", "/bin/", "/sbin/")):
            path = "/usr" + path
        with open(path, "rb") as f:
            self.entry(path, stat.S_IFREG | 0o755, f.read())

    def program(self, path):
        """A file and, if it is a program or library, what it needs."""
        self.file(path)
        for lib in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", run("ldd", path)[1], re.M):
            self.file(lib)

    def end(self):
        self.inode = -1
        self.entry("TRAILER!!!", 0)


def applets(busybox):
    return [a for a in run(busybox, "--list")[1].split() if a != "busybox"]


def start_archive(out, folder, names):
    """An Archive with busybox and modules, which the file modules/order names.

    folder  the kernel's modules; None: it needs none
    names   what is loaded in the guest, with what it depends on; a name missing is built in
    """
    busybox = shutil.which("busybox")
    if busybox is None:
        raise Skip("no busybox; devtools/setup.sh --vm installs it")
    archive = Archive(out)
    for name in ("lib", "lib64", "bin", "sbin"):
        archive.entry("usr/" + name, stat.S_IFDIR | 0o755)
        archive.link(name, "usr/" + name)
    for name in ("proc", "sys", "dev", "tmp", "root", "run", "var/run"):
        archive.entry(name, stat.S_IFDIR | 0o755)
    archive.entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.program(busybox)
    for applet in applets(busybox):
        archive.link("usr/bin/" + applet, os.path.join("/usr/bin", os.path.basename(busybox)))
    loaded = modules(folder, names) if folder else []
    archive.text("modules/order", "\n".join(name for name, _ in loaded))
    for name, content in loaded:
        archive.entry("modules/" + name, stat.S_IFREG | 0o644, content)
    return archive
