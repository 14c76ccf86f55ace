package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"doorbelld/internal/ask"
)

// A firstBoot is what the machine is to be when it starts for the first time.
type firstBoot struct {
	Hostname, User string
	PasswordHash   string   // "": nobody logs in by password
	Keys           []string // public keys
	SSID           string   // "": no Wi-Fi
	PSK            string   // the key made of the Wi-Fi's password, in hex
	Country        string
	TimeZone       string
	Deb            string // path of the package
}

var (
	hostName    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	userName    = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,30}$`)
	countryCode = regexp.MustCompile(`^[A-Z]{2}$`)
	zoneName    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z][A-Za-z0-9_+-]*){0,2}$`)
	cryptHash   = regexp.MustCompile(`^\$(5|6|y|gy|7)\$[./A-Za-z0-9$=,]{8,200}$`)
	publicKey   = regexp.MustCompile(`^(ssh-ed25519|ssh-rsa|ecdsa-sha2-[a-z0-9-]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/=]{40,1000}( [A-Za-z0-9@._+-]{0,100})?$`)
	debName     = regexp.MustCompile(`^doorbelld_[A-Za-z0-9.+~-]+_(arm64|armhf)\.deb$`)
)

// firstBoot reads and checks all of it. What is secret is read from files or asked for.
func (o options) firstBoot(ctx context.Context, desk *ask.Desk) (b firstBoot, err error) {
	b = firstBoot{Hostname: o.hostname, User: o.user, SSID: o.wifi, Country: o.country, TimeZone: o.timeZone, Deb: o.deb}
	switch {
	case !hostName.MatchString(b.Hostname):
		return b, fmt.Errorf("-hostname %q: 1 to 63 of a-z, 0-9 and -", b.Hostname)
	case !userName.MatchString(b.User) || b.User == "root":
		return b, fmt.Errorf("-user %q: 1 to 31 of a-z, 0-9, _ and -, not root", b.User)
	case b.Country != "" && !countryCode.MatchString(b.Country):
		return b, fmt.Errorf("-country %q: two capital letters, such as DE", b.Country)
	case b.TimeZone != "" && !zoneName.MatchString(b.TimeZone):
		return b, fmt.Errorf("-time-zone %q: such as Europe/Berlin", b.TimeZone)
	case !debName.MatchString(filepath.Base(b.Deb)):
		return b, fmt.Errorf("-deb %q: want doorbelld_VERSION_arm64.deb or …_armhf.deb", filepath.Base(b.Deb))
	}
	if info, err := os.Stat(b.Deb); err != nil {
		return b, fmt.Errorf("-deb: %w", err)
	} else if !info.Mode().IsRegular() {
		return b, fmt.Errorf("-deb %s is no file", b.Deb)
	}
	if o.sshKey != "" {
		if b.Keys, err = readKeys(o.sshKey); err != nil {
			return b, err
		}
	}
	switch {
	case o.passwordHash != "":
		if b.PasswordHash, err = secretLine(o.passwordHash); err == nil && !cryptHash.MatchString(b.PasswordHash) {
			err = fmt.Errorf("-password-hash-file: that is no hash of a password; `openssl passwd -6` makes one")
		}
	case len(b.Keys) == 0:
		b.PasswordHash, err = askPassword(ctx, desk, b.User)
	}
	if err != nil {
		return b, err
	}
	if b.SSID == "" {
		return b, nil
	}
	if len(b.SSID) > 32 || !utf8.ValidString(b.SSID) || strings.ContainsFunc(b.SSID, unicode.IsControl) {
		return b, fmt.Errorf("-wifi %q: up to 32 bytes, without control characters", b.SSID)
	}
	if b.Country == "" {
		return b, errors.New("-wifi needs -country: the radio is off until it knows whose rules hold")
	}
	password := ""
	if o.wifiPassword != "" {
		password, err = secretLine(o.wifiPassword)
	} else {
		password, err = desk.Secret(ctx, fmt.Sprintf("Password of the Wi-Fi network %s", b.SSID))
	}
	if err != nil {
		return b, err
	}
	b.PSK, err = preShared(password, b.SSID)
	return b, err
}

// secretLine reads a secret of one line from a file that nobody else may read.
func secretLine(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("others may read %s (mode %04o): chmod 600 %[1]s", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	line := strings.TrimRight(string(text), "\r\n")
	if line == "" || len(line) > 1000 || strings.ContainsAny(line, "\r\n\x00") {
		return "", fmt.Errorf("%s: want one line with the secret alone", path)
	}
	return line, nil
}

// readKeys reads public keys, one a line.
func readKeys(path string) (keys []string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("-ssh-key: %w", err)
	}
	if strings.Contains(string(text), "PRIVATE KEY") {
		return nil, fmt.Errorf("-ssh-key %s is a private key: give the public one, %[1]s.pub", path)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if !publicKey.MatchString(line) {
			return nil, fmt.Errorf("-ssh-key %s: a line is no public key", path)
		}
		keys = append(keys, line)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("-ssh-key %s holds no key", path)
	}
	return keys, nil
}

// askPassword asks for a password twice and gives its hash, made by openssl, which
// gets it through a pipe.
func askPassword(ctx context.Context, desk *ask.Desk, user string) (string, error) {
	first, err := desk.Secret(ctx, "Password of "+user)
	if err != nil {
		return "", err
	}
	second, err := desk.Secret(ctx, "And again")
	switch {
	case err != nil:
		return "", err
	case first != second:
		return "", errors.New("the two passwords differ")
	case len(first) < 8:
		return "", errors.New("a password of less than 8 characters: this machine will be on your network")
	}
	c := exec.CommandContext(ctx, "openssl", "passwd", "-6", "-stdin")
	c.Stdin = strings.NewReader(first + "\n")
	out, err := c.Output()
	hash := strings.TrimSpace(string(out))
	if err != nil || !cryptHash.MatchString(hash) {
		return "", fmt.Errorf("openssl passwd: %w", errors.Join(err, errors.New("it made no hash")))
	}
	return hash, nil
}

// preShared gives the key that WPA makes of a password, so that the password itself is
// in no image. One of 64 hex digits is a key already.
func preShared(password, ssid string) (string, error) {
	if key, err := hex.DecodeString(password); err == nil && len(key) == 32 {
		return strings.ToLower(password), nil
	}
	if len(password) < 8 || len(password) > 63 || strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", errors.New("a Wi-Fi password has 8 to 63 characters of ASCII")
	}
	key, err := pbkdf2.Key(sha1.New, password, []byte(ssid), 4096, 32)
	return hex.EncodeToString(key), err
}

// What is put on the boot partition, which a running Pi has at bootFolder.
const (
	bootFolder  = "/boot/firmware/"
	installName = "doorbelld-install.sh"
	unitPath    = "/etc/systemd/system/doorbelld-install.service"
)

// unit installs the package at the first boot, and tries again while that fails.
const unit = `[Unit]
Description=Install doorbelld
ConditionPathExists=` + bootFolder + installName + `
After=local-fs.target systemd-sysusers.service
[Service]
Type=oneshot
Restart=on-failure
RestartSec=30
ExecStart=/bin/sh ` + bootFolder + installName + `
[Install]
WantedBy=multi-user.target
`

// install is what the unit runs. It removes what it no longer needs, the secrets
// among it, but only what the machine has taken in.
func (b firstBoot) install() string {
	deb := bootFolder + filepath.Base(b.Deb)
	return `#!/bin/sh
# Installs doorbelld, once. Its log: journalctl -u doorbelld-install
set -eu
export DEBIAN_FRONTEND=noninteractive
dpkg --force-confold --install ` + deb + ` || {
	# It needs nothing that is not there; if that is ever otherwise, apt gets it.
	apt-get --yes --no-install-recommends --fix-broken install
	dpkg --force-confold --install ` + deb + `
}
rm -f ` + deb + ` ` + bootFolder + installName + `
# What cloud-init has taken in needs not lie where every user can read it.
if grep -qs access-points /etc/netplan/*.yaml; then
	printf '# taken in at first boot\n' >` + bootFolder + `network-config
fi
if getent passwd ` + b.User + ` >/dev/null && [ -e ` + bootFolder + `user-data ]; then
	printf '#cloud-config\n# taken in at first boot\n' >` + bootFolder + `user-data
fi
# Nothing of this stays: what is left is the package's own.
systemctl disable doorbelld-install.service || true
rm -f ` + unitPath + `
sync
`
}

// files gives what is put on the boot partition of img.
func (b firstBoot) files(img *image) ([]file, error) {
	if m := debName.FindStringSubmatch(filepath.Base(b.Deb)); m == nil || m[1] != img.arch {
		return nil, fmt.Errorf("the image is %s, and the package is not: take doorbelld_VERSION_%[1]s.deb", img.arch)
	}
	all := []file{{Name: filepath.Base(b.Deb), From: b.Deb}, {Name: installName, Text: b.install()}}
	if img.way == cloudInit {
		user, err := b.userData()
		if err != nil {
			return nil, err
		}
		network, err := b.networkConfig()
		return append(all, file{Name: "user-data", Text: user}, file{Name: "network-config", Text: network}), err
	}
	line, err := kernelLine(img.cmdline)
	return append(all, file{Name: "firstrun.sh", Text: b.firstRun()}, file{Name: "cmdline.txt", Text: line}), err
}

// groups are those that the first user of Raspberry Pi OS is in.
const groups = "users,adm,dialout,audio,netdev,video,plugdev,cdrom,games,input,gpio,spi,i2c,render,sudo"

// userData gives cloud-init's file. It is JSON, which is YAML too, so that no name or
// key can mean anything but itself.
func (b firstBoot) userData() (string, error) {
	user := map[string]any{"name": b.User, "groups": groups, "shell": "/bin/bash", "lock_passwd": b.PasswordHash == ""}
	if b.PasswordHash != "" {
		user["passwd"] = b.PasswordHash
	}
	if len(b.Keys) > 0 {
		user["ssh_authorized_keys"] = b.Keys
		user["sudo"] = "ALL=(ALL) NOPASSWD:ALL" // a key alone can answer no question
	}
	v := map[string]any{
		"hostname": b.Hostname, "manage_etc_hosts": true, "users": []any{user},
		"ssh_pwauth":  b.PasswordHash != "" && len(b.Keys) == 0,
		"write_files": []any{map[string]any{"path": unitPath, "permissions": "0644", "content": unit}},
		"runcmd": [][]string{
			{"systemctl", "enable", "--now", "ssh"}, {"systemctl", "daemon-reload"},
			{"systemctl", "enable", "doorbelld-install.service"}, {"systemctl", "start", "--no-block", "doorbelld-install.service"},
		},
	}
	if b.TimeZone != "" {
		v["timezone"] = b.TimeZone
	}
	text, err := json.MarshalIndent(v, "", "  ")
	return "#cloud-config\n" + string(text) + "\n", err
}

// networkConfig gives cloud-init's other file, likewise.
func (b firstBoot) networkConfig() (string, error) {
	network := map[string]any{"version": 2, "ethernets": map[string]any{"eth0": map[string]any{"dhcp4": true, "optional": true}}}
	if b.SSID != "" {
		network["wifis"] = map[string]any{"wlan0": map[string]any{
			"dhcp4": true, "optional": true, "regulatory-domain": b.Country,
			"access-points": map[string]any{b.SSID: map[string]any{"password": b.PSK}},
		}}
	}
	text, err := json.MarshalIndent(map[string]any{"network": network}, "", "  ")
	return string(text) + "\n", err
}

// firstRun gives the script for images without cloud-init: what Raspberry Pi Imager
// has them do, by the system's own helpers, and then the unit.
func (b firstBoot) firstRun() string {
	var s strings.Builder
	line := func(words ...string) {
		for i, w := range words {
			words[i] = quote(w)
		}
		s.WriteString(strings.Join(words, " ") + "\n")
	}
	const helper = "/usr/lib/raspberrypi-sys-mods/imager_custom"
	s.WriteString("#!/bin/sh\n# Runs once, before the first real start; what fails is not to keep it from that.\nset +e\n")
	line(helper, "set_hostname", b.Hostname)
	ssh := []string{helper, "enable_ssh"}
	if len(b.Keys) > 0 {
		ssh = append(append(ssh, "-k"), b.Keys...)
	} else {
		ssh = append(ssh, "-p")
	}
	line(ssh...)
	hash := b.PasswordHash
	if hash == "" {
		hash = "!" // which no password has
	}
	line("/usr/lib/userconf-pi/userconf", b.User, hash)
	if len(b.Keys) > 0 {
		s.WriteString("echo " + quote(b.User+" ALL=(ALL) NOPASSWD: ALL") + " >/etc/sudoers.d/010_" + b.User + "-nopasswd\n") // a key alone can answer no question
		line("chmod", "0440", "/etc/sudoers.d/010_"+b.User+"-nopasswd")
	}
	if b.SSID != "" {
		line(helper, "set_wlan", b.SSID, b.PSK, b.Country)
	}
	if b.TimeZone != "" {
		line(helper, "set_timezone", b.TimeZone)
	}
	s.WriteString("cat >" + unitPath + " <<'END'\n" + unit + "END\n")
	line("systemctl", "enable", "doorbelld-install.service")
	s.WriteString("rm -f " + bootFolder + "firstrun.sh\n")
	s.WriteString("sed -i 's| systemd\\.[^ ]*||g' " + bootFolder + "cmdline.txt\nexit 0\n")
	return s.String()
}

// quote writes a word as a shell reads it back.
func quote(w string) string {
	if w != "" && strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./@") == "" {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// kernelLine has the kernel's one line start firstrun.sh once.
func kernelLine(line string) (string, error) {
	line = strings.TrimRight(line, "\r\n ")
	switch {
	case line == "" || strings.ContainsAny(line, "\n\x00"):
		return "", errors.New("its cmdline.txt is not one line")
	case strings.Contains(line, "systemd.run="):
		return "", errors.New("something is to be run at its first boot already: take an image that nobody has prepared")
	}
	return line + " systemd.run=" + bootFolder + "firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target\n", nil
}
