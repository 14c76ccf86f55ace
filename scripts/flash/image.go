package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// way is how an image sets itself up.
type way string

const (
	cloudInit way = "cloud-init"
	script    way = "a script at first boot"
)

// An image is the copy that is written to.
type image struct {
	path       string
	boot, root int64 // where the partitions begin, in bytes
	bootSize   int64
	system     string // for people
	way        way
	arch       string // Debian's name
	cmdline    string // of the kernel
}

const (
	sectorSize = 512
	maxImage   = 64 << 30 // bytes
)

// copyImage copies an image, unpacked if it is .xz, into f.
func copyImage(ctx context.Context, from string, f *os.File) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("the image: %w", err)
	}
	defer in.Close()
	if !strings.HasSuffix(from, ".xz") {
		return copyAll(f, in)
	}
	c := exec.CommandContext(ctx, "xz", "--decompress", "--stdout")
	var said bytes.Buffer
	c.Stdin, c.Stderr = in, &said
	pipe, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("unpacking the image: %w", err)
	}
	err = copyAll(f, pipe)
	if werr := c.Wait(); werr != nil && err == nil {
		err = fmt.Errorf("unpacking the image: %w: %s", werr, bytes.TrimSpace(said.Bytes()))
	}
	return err
}

// copyAll copies what fits into an image.
func copyAll(to io.Writer, from io.Reader) error {
	n, err := io.Copy(to, io.LimitReader(from, maxImage+1))
	if err == nil && n > maxImage {
		err = fmt.Errorf("an image of more than %d GB", maxImage>>30)
	}
	if err != nil {
		return fmt.Errorf("copying the image: %w", err)
	}
	return nil
}

// open looks what is in the image in f.
func open(ctx context.Context, f *os.File, path string) (*image, error) {
	whole, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	img := &image{path: whole}
	if err := img.partitions(f); err != nil {
		return nil, err
	}
	release, err := img.cat(ctx, "/usr/lib/os-release")
	if err != nil {
		return nil, fmt.Errorf("its root partition says of no system what it is: is it Raspberry Pi OS? %w", err)
	}
	name := regexp.MustCompile(`(?m)^PRETTY_NAME="?([A-Za-z0-9 ()/._-]{1,60})"?$`).FindStringSubmatch(release)
	if name == nil {
		return nil, errors.New("its root partition says of no system what it is: is it Raspberry Pi OS?")
	}
	img.system = name[1]
	switch {
	case img.has(ctx, "/usr/lib/aarch64-linux-gnu"):
		img.arch = "arm64"
	case img.has(ctx, "/usr/lib/arm-linux-gnueabihf"):
		img.arch = "armhf"
	default:
		return nil, errors.New("it is for no Raspberry Pi: neither arm64 nor armhf")
	}
	if img.cmdline, err = img.typed(ctx, "cmdline.txt"); err != nil {
		return nil, fmt.Errorf("its boot partition has no cmdline.txt: is it Raspberry Pi OS? %w", err)
	}
	_, seeded := img.typed(ctx, "user-data")
	switch {
	case img.has(ctx, "/usr/bin/cloud-init") && seeded == nil:
		img.way = cloudInit
	case img.has(ctx, "/usr/lib/raspberrypi-sys-mods/imager_custom") && img.has(ctx, "/usr/lib/userconf-pi/userconf"):
		img.way = script
	default:
		return nil, fmt.Errorf("this image of %s sets itself up neither by cloud-init nor by a script: take the newest Raspberry Pi OS Lite", img.system)
	}
	return img, nil
}

// partitions reads the table in the first sector: the first FAT partition is the one
// to boot from, the first Linux partition after it the root.
func (img *image) partitions(f io.ReaderAt) error {
	var table [sectorSize]byte
	if _, err := f.ReadAt(table[:], 0); err != nil || table[510] != 0x55 || table[511] != 0xaa {
		return errors.New("it has no partition table: is it an image of a whole card?")
	}
	size := int64(0)
	if s, ok := f.(interface{ Stat() (os.FileInfo, error) }); ok {
		info, err := s.Stat()
		if err != nil {
			return err
		}
		size = info.Size()
	}
	for i := range 4 {
		e := table[446+16*i:][:16]
		start, length := sectorSize*int64(binary.LittleEndian.Uint32(e[8:])), sectorSize*int64(binary.LittleEndian.Uint32(e[12:]))
		if length == 0 {
			continue
		}
		if start < sectorSize || start+length > size {
			return fmt.Errorf("partition %d does not lie within it: the image is cut short", i+1)
		}
		switch kind := e[4]; {
		case slices.Contains([]byte{0x0b, 0x0c, 0x0e}, kind) && img.boot == 0:
			img.boot, img.bootSize = start, length
		case kind == 0x83 && img.boot > 0 && img.root == 0:
			img.root = start
		}
	}
	if img.boot == 0 || img.root == 0 {
		return errors.New("it has no FAT partition and a Linux partition after it: is it Raspberry Pi OS?")
	}
	return nil
}

// maxText bounds what is read out of the image, in bytes.
const maxText = 64 << 10

// tool runs a program that looks into the image.
func tool(ctx context.Context, name string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin", "MTOOLS_SKIP_CHECK=1", "LC_ALL=C")
	if path, err := exec.LookPath(name); err != nil {
		for _, folder := range []string{"/usr/sbin/", "/sbin/"} { // where Debian keeps debugfs
			if _, serr := os.Stat(folder + name); serr == nil {
				c.Path, c.Err = folder+name, nil
			}
		}
	} else {
		c.Path = path
	}
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(said.String()))
	}
	if out.Len() > maxText {
		return "", fmt.Errorf("%s gives more than %d bytes", name, maxText)
	}
	return out.String(), nil
}

// debugfs asks about the root partition, without mounting it. It says by no exit
// code that something is missing.
func (img *image) debugfs(ctx context.Context, request string) (string, error) {
	return tool(ctx, "debugfs", "-R", request, fmt.Sprintf("%s?offset=%d", img.path, img.root))
}

func (img *image) cat(ctx context.Context, name string) (string, error) {
	text, err := img.debugfs(ctx, "cat "+name)
	if err == nil && text == "" {
		err = fmt.Errorf("%s is not there", name)
	}
	return text, err
}

func (img *image) has(ctx context.Context, name string) bool {
	text, err := img.debugfs(ctx, "stat "+name)
	return err == nil && strings.Contains(text, "Inode:")
}

// drive names the boot partition as mtools do.
func (img *image) drive() string { return fmt.Sprintf("%s@@%d", img.path, img.boot) }

// typed gives a file of the boot partition.
func (img *image) typed(ctx context.Context, name string) (string, error) {
	return tool(ctx, "mtype", "-i", img.drive(), "::/"+name)
}

// A file is one that is put on the boot partition: Text, or what is at From.
type file struct{ Name, Text, From string }

// put writes files to the boot partition and reads back what was written. Texts go
// through a folder that only this user may look into.
func (img *image) put(ctx context.Context, files []file) (err error) {
	folder, err := os.MkdirTemp("", "doorbelld-flash-") // mode 0700
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	for _, f := range files {
		from := f.From
		if from == "" {
			from = filepath.Join(folder, f.Name)
			if err := os.WriteFile(from, []byte(f.Text), 0o600); err != nil {
				return err
			}
		}
		if _, err := tool(ctx, "mcopy", "-o", "-i", img.drive(), from, "::/"+f.Name); err != nil {
			return fmt.Errorf("writing %s to the boot partition (is there room?): %w", f.Name, err)
		}
		back := filepath.Join(folder, "back")
		if _, err := tool(ctx, "mcopy", "-n", "-i", img.drive(), "::/"+f.Name, back); err != nil {
			return fmt.Errorf("reading %s back: %w", f.Name, err)
		}
		want, werr := os.ReadFile(from)
		got, gerr := os.ReadFile(back)
		if err := errors.Join(werr, gerr, os.Remove(back)); err != nil {
			return err
		}
		if !bytes.Equal(want, got) {
			return fmt.Errorf("%s is not on the boot partition as it was written", f.Name)
		}
	}
	return nil
}
