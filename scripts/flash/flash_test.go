package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"doorbelld/internal/ask"
)

// need skips a test where a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed: scripts/install.sh test installs it", p)
		}
	}
}

func do(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func put(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	bootAt, bootLen = 4 << 20, 40 << 20
	rootAt, rootLen = 48 << 20, 24 << 20
)

// disk makes an image as a card has it: a partition table, a FAT file system to boot
// from and an ext4 root, with files on both.
func disk(t *testing.T, boot, root map[string]string) string {
	t.Helper()
	need(t, "mkfs.vfat", "mkfs.ext4", "debugfs", "mcopy", "mtype")
	dir := t.TempDir()
	fat, ext, path := filepath.Join(dir, "fat"), filepath.Join(dir, "ext"), filepath.Join(dir, "raspios.img")
	for name, size := range map[string]int64{fat: bootLen, ext: rootLen, path: rootAt + rootLen} {
		put(t, name, "", 0o600)
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
	}
	do(t, "mkfs.vfat", "-F", "32", "-s", "1", "-n", "BOOTFS", fat)
	for name, text := range boot {
		do(t, "mcopy", "-i", fat, put(t, filepath.Join(dir, "bootfiles", name), text, 0o644), "::/"+name)
	}
	tree := filepath.Join(dir, "tree")
	put(t, filepath.Join(tree, "etc/fstab"), "", 0o644)
	for name, text := range root {
		put(t, filepath.Join(tree, name), text, 0o755)
	}
	do(t, "mkfs.ext4", "-q", "-d", tree, ext)

	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var table [sectorSize]byte
	for i, p := range []struct {
		kind       byte
		start, len uint32
	}{{0x0c, bootAt / sectorSize, bootLen / sectorSize}, {0x83, rootAt / sectorSize, rootLen / sectorSize}} {
		e := table[446+16*i:]
		e[4] = p.kind
		binary.LittleEndian.PutUint32(e[8:], p.start)
		binary.LittleEndian.PutUint32(e[12:], p.len)
	}
	table[510], table[511] = 0x55, 0xaa
	if _, err := f.WriteAt(table[:], 0); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]int64{fat: bootAt, ext: rootAt} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

const kernel = "console=tty1 root=PARTUUID=1-02 rootfstype=ext4 fsck.repair=yes rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n"

// bookworm and trixie are as far as it matters what the images of these are.
func bookworm(t *testing.T) string {
	return disk(t, map[string]string{"cmdline.txt": kernel}, map[string]string{
		"usr/lib/os-release": "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n", "usr/lib/aarch64-linux-gnu/x": "",
		"usr/lib/raspberrypi-sys-mods/imager_custom": "#!/bin/sh", "usr/lib/userconf-pi/userconf": "#!/bin/sh",
	})
}

func trixie(t *testing.T) string {
	return disk(t, map[string]string{"cmdline.txt": kernel, "user-data": "#cloud-config\n", "network-config": "", "meta-data": "instance_id: rpios-image\n"}, map[string]string{
		"usr/lib/os-release": "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\n", "usr/lib/aarch64-linux-gnu/x": "", "usr/bin/cloud-init": "#!/bin/sh",
	})
}

const (
	aHash = "$6$saltsalt$abcdefghijklmnopqrstuvwxyz./"
	aKey  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcdefghijklmnopqrstuvwxyz0123456789ABCDEF anna@laptop"
	// What WPA makes of the password "correct horse" and the name below.
	wifiName, wifiPassword = `Anna's "home": $(x) \`, "correct horse"
)

// flashed runs the program and gives the new image's path and what was said.
func flashed(t *testing.T, image string, extra ...string) (path, said string, err error) {
	t.Helper()
	dir := t.TempDir()
	deb := put(t, filepath.Join(dir, "doorbelld_1.2.3_arm64.deb"), strings.Repeat("package", 10_000), 0o644)
	path = filepath.Join(dir, "card.img")
	var out bytes.Buffer
	args := append([]string{"-image", image, "-deb", deb, "-out", path, "-user", "anna", "-hostname", "porch"}, extra...)
	err = run(t.Context(), args, strings.NewReader(""), &out)
	return path, out.String(), err
}

func secrets(t *testing.T) []string {
	dir := t.TempDir()
	return []string{
		"-password-hash-file", put(t, filepath.Join(dir, "hash"), aHash+"\n", 0o600),
		"-wifi", wifiName, "-wifi-password-file", put(t, filepath.Join(dir, "wifi"), wifiPassword+"\n", 0o600), "-country", "DE", "-time-zone", "Europe/Berlin",
	}
}

func onBoot(t *testing.T, path, name string) string {
	t.Helper()
	text, err := tool(t.Context(), "mtype", "-i", fmt.Sprintf("%s@@%d", path, bootAt), "::/"+name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sound holds that the copy is as private as what is in it, that both file systems
// are whole, and that the package is on it.
func sound(t *testing.T, image, path, said string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if strings.Contains(said, wifiPassword) || strings.Contains(said, aHash) {
		t.Errorf("a secret is shown: %s", said)
	}
	b, err := os.ReadFile(path)
	if err != nil || bytes.Contains(b, []byte(wifiPassword)) {
		t.Errorf("the Wi-Fi's password itself is in the image (%v)", err)
	}
	was, err := os.ReadFile(image)
	if err != nil || !bytes.Equal(was[rootAt:], b[rootAt:]) || !bytes.Equal(was[:bootAt], b[:bootAt]) {
		t.Errorf("more than the boot partition is changed (%v)", err)
	}
	fat := put(t, filepath.Join(t.TempDir(), "fat"), string(b[bootAt:bootAt+bootLen]), 0o600)
	do(t, "fsck.vfat", "-n", fat)
	back := filepath.Join(t.TempDir(), "deb")
	do(t, "mcopy", "-i", fat, "::/doorbelld_1.2.3_arm64.deb", back)
	if deb, err := os.ReadFile(back); err != nil || string(deb) != strings.Repeat("package", 10_000) {
		t.Errorf("another package (%v)", err)
	}
}

func TestTrixie(t *testing.T) {
	image := trixie(t)
	path, said, err := flashed(t, image, secrets(t)...)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said, "Debian GNU/Linux 13 (trixie); it sets itself up by cloud-init") || !strings.Contains(said, "ssh anna@porch.local") {
		t.Error(said)
	}
	var user struct {
		Hostname  string
		Timezone  string
		SSHPwauth bool `json:"ssh_pwauth"`
		Users     []struct{ Name, Passwd string }
		Runcmd    [][]string
		Files     []struct{ Path, Content string } `json:"write_files"`
	}
	text, ok := strings.CutPrefix(onBoot(t, path, "user-data"), "#cloud-config\n")
	if err := json.Unmarshal([]byte(text), &user); err != nil || !ok {
		t.Fatal(err)
	}
	if user.Hostname != "porch" || user.Timezone != "Europe/Berlin" || !user.SSHPwauth || len(user.Users) != 1 || user.Users[0].Name != "anna" || user.Users[0].Passwd != aHash {
		t.Errorf("%+v", user)
	}
	if len(user.Files) != 1 || user.Files[0].Path != unitPath || user.Files[0].Content != unit || len(user.Runcmd) != 4 {
		t.Errorf("%+v", user)
	}
	var net struct {
		Network struct {
			Version int
			Wifis   map[string]struct {
				Domain string                               `json:"regulatory-domain"`
				Points map[string]struct{ Password string } `json:"access-points"`
			}
		}
	}
	if err := json.Unmarshal([]byte(onBoot(t, path, "network-config")), &net); err != nil {
		t.Fatal(err)
	}
	if w := net.Network.Wifis["wlan0"]; net.Network.Version != 2 || w.Domain != "DE" || len(w.Points[wifiName].Password) != 64 {
		t.Errorf("%+v", net)
	}
	if got := onBoot(t, path, "cmdline.txt"); got != kernel {
		t.Errorf("%q", got)
	}
	if got := onBoot(t, path, "meta-data"); got != "instance_id: rpios-image\n" {
		t.Errorf("%q", got)
	}
	sound(t, image, path, said)
}

// rehearse runs a script of the image with all of its paths below a folder, and with
// programs that only say how they were called.
func rehearse(t *testing.T, text string, programs ...string) (root, called string) {
	t.Helper()
	root = t.TempDir()
	calls := filepath.Join(root, "calls")
	for _, p := range programs {
		put(t, filepath.Join(root, p), "#!/bin/sh\nfor w in \"${0##*/}\" \"$@\"; do printf '<%s>' \"$w\"; done >>"+calls+"; echo >>"+calls+"\n", 0o755)
	}
	for _, folder := range []string{"etc/systemd/system", "etc/netplan", "etc/sudoers.d", "boot/firmware"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(root, "boot/firmware/user-data"), aHash, 0o644)
	put(t, filepath.Join(root, "boot/firmware/network-config"), "psk", 0o644)
	put(t, filepath.Join(root, "boot/firmware/cmdline.txt"), "a systemd.run=/x systemd.unit=y.target\n", 0o644)
	put(t, filepath.Join(root, "etc/netplan/50.yaml"), "access-points: {}", 0o600)
	r := strings.NewReplacer("/boot/firmware/", root+"/boot/firmware/", "/usr/lib/", root+"/usr/lib/", "/etc/", root+"/etc/")
	put(t, root+unitPath, unit, 0o644)
	path := put(t, filepath.Join(root, "script"), r.Replace(text), 0o755)
	c := exec.Command("sh", path)
	c.Env = []string{"PATH=" + filepath.Join(root, "bin") + ":" + os.Getenv("PATH")}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	return root, string(b)
}

func TestBookworm(t *testing.T) {
	image := bookworm(t)
	path, said, err := flashed(t, image, secrets(t)...)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said, "Debian GNU/Linux 12 (bookworm); it sets itself up by a script at first boot") {
		t.Error(said)
	}
	want := strings.TrimSpace(kernel) + " systemd.run=/boot/firmware/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target\n"
	if got := onBoot(t, path, "cmdline.txt"); got != want {
		t.Errorf("%q", got)
	}
	psk, err := preShared(wifiPassword, wifiName)
	if err != nil {
		t.Fatal(err)
	}
	root, called := rehearse(t, onBoot(t, path, "firstrun.sh"), "usr/lib/raspberrypi-sys-mods/imager_custom", "usr/lib/userconf-pi/userconf", "bin/systemctl")
	wantCalls := "<imager_custom><set_hostname><porch>\n<imager_custom><enable_ssh><-p>\n<userconf><anna><" + aHash + ">\n" +
		"<imager_custom><set_wlan><" + wifiName + "><" + psk + "><DE>\n<imager_custom><set_timezone><Europe/Berlin>\n<systemctl><enable><doorbelld-install.service>\n"
	if called != wantCalls {
		t.Errorf("%s\nwant %s", called, wantCalls)
	}
	if b, err := os.ReadFile(root + unitPath); err != nil || !strings.Contains(string(b), "ExecStart=/bin/sh "+root+bootFolder+installName) {
		t.Errorf("%s, %v", b, err)
	}
	if b, err := os.ReadFile(filepath.Join(root, "boot/firmware/cmdline.txt")); err != nil || string(b) != "a\n" {
		t.Errorf("%q, %v", b, err)
	}
	sound(t, image, path, said)
}

// The package is installed, and what held secrets is emptied.
func TestInstall(t *testing.T) {
	b := firstBoot{User: "anna", Deb: "doorbelld_1.2.3_arm64.deb"}
	root, called := rehearse(t, b.install(), "bin/dpkg", "bin/apt-get", "bin/systemctl", "bin/getent")
	want := "<dpkg><--force-confold><--install><" + root + "/boot/firmware/doorbelld_1.2.3_arm64.deb>\n<getent><passwd><anna>\n<systemctl><disable><doorbelld-install.service>\n"
	if called != want {
		t.Errorf("%s\nwant %s", called, want)
	}
	if _, err := os.Stat(root + unitPath); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unit is left: %v", err)
	}
	for _, name := range []string{"user-data", "network-config"} {
		if text, err := os.ReadFile(filepath.Join(root, "boot/firmware", name)); err != nil || strings.Contains(string(text), aHash) || strings.Contains(string(text), "psk") {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
}

func TestKeyAlone(t *testing.T) {
	need(t, "xz")
	image := trixie(t)
	do(t, "xz", "-0", image)
	key := put(t, filepath.Join(t.TempDir(), "id.pub"), "# mine\n"+aKey+"\n", 0o644)
	path, _, err := flashed(t, image+".xz", "-ssh-key", key)
	if err != nil {
		t.Fatal(err)
	}
	text := onBoot(t, path, "user-data")
	for _, want := range []string{aKey, `"ssh_pwauth": false`, `"lock_passwd": true`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if strings.Contains(onBoot(t, path, "network-config"), "wifis") {
		t.Error("a Wi-Fi that nobody named")
	}
}

// What is not an image for this, and what would write over something.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	junk := put(t, filepath.Join(dir, "junk.img"), strings.Repeat("x", 4096), 0o600)
	open := put(t, filepath.Join(dir, "hash"), aHash, 0o644)
	private := put(t, filepath.Join(dir, "id"), "-----BEGIN OPENSSH PRIVATE KEY-----\n", 0o600)
	good := put(t, filepath.Join(dir, "good"), aHash, 0o600)
	short := put(t, filepath.Join(dir, "short"), "short", 0o600)
	for _, c := range []struct {
		extra []string
		want  string
	}{
		{[]string{"-password-hash-file", good}, "no partition table"},
		{[]string{"-password-hash-file", open}, "others may read"},
		{[]string{"-password-hash-file", short}, "no hash of a password"},
		{[]string{"-ssh-key", private}, "is a private key"},
		{[]string{"-ssh-key", good}, "a line is no public key"},
		{[]string{"-password-hash-file", good, "-out", "/dev/sda"}, "is a device"},
		{[]string{"-password-hash-file", good, "-out", "/dev/null"}, "is a device"},
		{[]string{"-password-hash-file", good, "-out", junk}, "nothing is written over"},
		{[]string{"-password-hash-file", good, "-wifi", "home"}, "needs -country"},
		{[]string{"-password-hash-file", good, "-wifi", "home", "-country", "DE", "-wifi-password-file", short}, "8 to 63 characters"},
		{[]string{"-password-hash-file", good, "-wifi", "a\nb", "-country", "DE"}, "without control characters"},
		{[]string{"-password-hash-file", good, "-hostname", "The Porch"}, "-hostname"},
		{[]string{"-password-hash-file", good, "-user", "root"}, "not root"},
		{[]string{"-password-hash-file", good, "-user", "anna;x"}, "-user"},
		{[]string{"-password-hash-file", good, "-time-zone", "../x"}, "-time-zone"},
		{[]string{"-password-hash-file", good, "-deb", junk}, "-deb"},
		{[]string{"extra"}, "too much"},
	} {
		path, _, err := flashed(t, junk, c.extra...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.extra, err, c.want)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v: it left %s", c.extra, path)
		}
	}
	if b, err := os.ReadFile(junk); err != nil || len(b) != 4096 {
		t.Errorf("the image itself was written to (%v)", err)
	}
}

func TestOtherImages(t *testing.T) {
	hash := secrets(t)[:2]
	for name, c := range map[string]struct {
		boot, root map[string]string
		want       string
	}{
		"no way":   {map[string]string{"cmdline.txt": kernel}, map[string]string{"usr/lib/os-release": "PRETTY_NAME=\"Debian 13\"\n", "usr/lib/aarch64-linux-gnu/x": ""}, "neither by cloud-init nor by a script"},
		"amd64":    {map[string]string{"cmdline.txt": kernel}, map[string]string{"usr/lib/os-release": "PRETTY_NAME=\"Debian 13\"\n"}, "for no Raspberry Pi"},
		"32 bits":  {map[string]string{"cmdline.txt": kernel, "user-data": "x"}, map[string]string{"usr/lib/os-release": "PRETTY_NAME=\"Debian 13\"\n", "usr/lib/arm-linux-gnueabihf/x": "", "usr/bin/cloud-init": "x"}, "the image is armhf"},
		"nameless": {map[string]string{"cmdline.txt": kernel}, nil, "is it Raspberry Pi OS?"},
		"prepared": {map[string]string{"cmdline.txt": "quiet systemd.run=/boot/firstrun.sh"}, map[string]string{"usr/lib/os-release": "PRETTY_NAME=\"Debian 12\"\n", "usr/lib/aarch64-linux-gnu/x": "",
			"usr/lib/raspberrypi-sys-mods/imager_custom": "x", "usr/lib/userconf-pi/userconf": "x"}, "take an image that nobody has prepared"},
	} {
		path, _, err := flashed(t, disk(t, c.boot, c.root), hash...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: it left %s", name, path)
		}
	}
}

// An image of 32 bits takes the package for armhf.
func TestThirtyTwoBits(t *testing.T) {
	image := disk(t, map[string]string{"cmdline.txt": kernel, "user-data": "x", "network-config": ""}, map[string]string{
		"usr/lib/os-release": "PRETTY_NAME=\"Debian 13\"\n", "usr/lib/arm-linux-gnueabihf/x": "", "usr/bin/cloud-init": "x"})
	const name = "doorbelld_1.2.3_armhf.deb"
	path, said, err := flashed(t, image, append(secrets(t)[:2], "-deb", put(t, filepath.Join(t.TempDir(), name), "package", 0o644))...)
	if err != nil || !strings.Contains(said, "Zero W starts it too, and refuses the package") {
		t.Fatalf("%v\n%s", err, said)
	}
	if onBoot(t, path, name) != "package" || !strings.Contains(onBoot(t, path, installName), "/"+name) {
		t.Error("the package is not on it, or not what is installed")
	}
}

// IEEE 802.11i, H.4: what WPA makes of a password.
func TestPreShared(t *testing.T) {
	got, err := preShared("ThisIsAPassword", "ThisIsASSID")
	if want := "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af"; err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	if again, err := preShared(got, "anything"); err != nil || again != got {
		t.Errorf("%s, %v", again, err)
	}
}

func TestAskPassword(t *testing.T) {
	need(t, "openssl")
	asked := func(typed string) (string, error) {
		return askPassword(context.Background(), ask.New(strings.NewReader(typed), io.Discard, false), "anna")
	}
	if hash, err := asked("open sesame\nopen sesame\n"); err != nil || !cryptHash.MatchString(hash) {
		t.Errorf("%q, %v", hash, err)
	}
	for _, bad := range []string{"open sesame\nopen the door\n", "short\nshort\n", ""} {
		if hash, err := asked(bad); err == nil {
			t.Errorf("%q gives %q", bad, hash)
		}
	}
}

// A partition table is a stranger's.
func FuzzPartitions(f *testing.F) {
	table := make([]byte, sectorSize)
	table[510], table[511] = 0x55, 0xaa
	f.Add(table)
	f.Fuzz(func(t *testing.T, b []byte) {
		var img image
		r := bytes.NewReader(b)
		if err := img.partitions(sized{r}); err == nil && (img.boot < sectorSize || img.root < sectorSize || img.boot+img.bootSize > int64(len(b))) {
			t.Errorf("%+v", img)
		}
	})
}

// sized is a file in memory.
type sized struct{ *bytes.Reader }

func (s sized) Stat() (os.FileInfo, error) { return info{size: s.Size()}, nil }

type info struct {
	os.FileInfo
	size int64
}

func (i info) Size() int64 { return i.size }
