// Flash makes, out of an image of Raspberry Pi OS Lite and the package of doorbelld,
// an image that sets itself up: on its first boot it joins the Wi-Fi, lets you in over
// ssh and installs the package. Then `sudo doorbelld setup` is all that is left.
//
//	go run ./scripts/flash -image raspios-lite.img.xz -deb doorbelld_1.0.0_arm64.deb \
//	    -out card.img -user anna -ssh-key ~/.ssh/id_ed25519.pub -wifi HOME -country DE
//
// It writes a new file, never a disk: put that on a card with Raspberry Pi Imager
// ("Use custom") or dd. No root is needed, and nothing is mounted. Secrets are asked
// for, or read from files; they are never on a command line. The new image holds them
// (the password as a hash, the Wi-Fi's as the key made of it), and so only you may
// read it.
//
// Which way the image sets itself up is found in the image: cloud-init, as in those
// of Debian 13 (trixie), or a script at first boot, as in those of Debian 12
// (bookworm). An image that has neither is refused.
//
// It needs mtools and e2fsprogs (debugfs), for a password openssl, and for .img.xz xz.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"doorbelld/internal/ask"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "flash:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	image, deb, out         string
	hostname, user, country string
	passwordHash, sshKey    string // files
	wifi, wifiPassword      string // the network's name, and a file
	timeZone                string
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) (err error) {
	var o options
	f := flag.NewFlagSet("flash", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&o.image, "image", "", "the `FILE` with Raspberry Pi OS Lite: .img or .img.xz")
	f.StringVar(&o.deb, "deb", "", "the `FILE` with the package: doorbelld_VERSION_ARCH.deb")
	f.StringVar(&o.out, "out", "", "the new `FILE` to write")
	f.StringVar(&o.hostname, "hostname", "doorbell", "the `NAME` of the machine on the network")
	f.StringVar(&o.user, "user", "", "the `NAME` of its user")
	f.StringVar(&o.passwordHash, "password-hash-file", "", "a `FILE` with the hash of that user's password, as mkpasswd or openssl passwd -6 make it")
	f.StringVar(&o.sshKey, "ssh-key", "", "a `FILE` with public keys that may log in: with it no password is asked for")
	f.StringVar(&o.wifi, "wifi", "", "the `NAME` of the Wi-Fi network; without it there is Ethernet alone")
	f.StringVar(&o.wifiPassword, "wifi-password-file", "", "a `FILE` with its password")
	f.StringVar(&o.country, "country", "", "the two letters of the `COUNTRY` whose rules of radio hold, such as DE")
	f.StringVar(&o.timeZone, "time-zone", "", "the time `ZONE`, such as Europe/Berlin")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q is too much: all is said by flags; see -h", f.Arg(0))
	}
	if o.image == "" || o.deb == "" || o.out == "" || o.user == "" {
		return errors.New("-image, -deb, -out and -user are needed; see -h")
	}
	if err := fresh(o.out); err != nil {
		return err
	}
	first, err := o.firstBoot(ctx, ask.New(in, out, false))
	if err != nil {
		return err
	}
	return build(ctx, o.image, o.out, first, out)
}

// fresh refuses to write over anything, and to write on a disk.
func fresh(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode()&os.ModeDevice != 0, strings.HasPrefix(filepath.Clean(path), "/dev/"):
		return fmt.Errorf("%s is a device: this writes files alone; put the file on a card with Raspberry Pi Imager or dd", path)
	case err == nil:
		return fmt.Errorf("%s is there already, and nothing is written over", path)
	case errors.Is(err, os.ErrNotExist):
		return nil
	}
	return err
}

// build writes the new image: a copy, with what is needed at first boot on its boot
// partition. If anything fails, no new image is left.
func build(ctx context.Context, from, to string, first firstBoot, out io.Writer) (err error) {
	f, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(to))
		}
	}()
	fmt.Fprintln(out, "Copying the image")
	if err := copyImage(ctx, from, f); err != nil {
		return err
	}
	img, err := open(ctx, f, to)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "It is %s; it sets itself up by %s\n", img.system, img.way)
	if img.arch == "armhf" {
		fmt.Fprintln(out, "It has 32 bits: a Raspberry Pi 1, Zero or Zero W starts it too, and refuses the package")
	}
	files, err := first.files(img)
	if err != nil {
		return err
	}
	if err := img.put(ctx, files); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is ready. Put it on a card, start the Pi with it, wait some minutes, and then\n\n    ssh %s@%s.local\n    sudo doorbelld setup\n\nIt holds the password's hash and the Wi-Fi's key: remove it when the card is written.\n", to, first.User, first.Hostname)
	return nil
}
