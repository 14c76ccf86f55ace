//go:build deb

package packaging

import (
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A kernelStruct is a struct that is handed to the kernel, by its Go name.
type kernelStruct struct {
	c     string            // its name in the kernel's header
	names map[string]string // of fields whose names differ by more than their capitals
}

// What the libraries of the camera and of the button hand to the kernel.
var kernelStructs = map[string]struct {
	header, prefix string
	structs        map[string]kernelStruct
	also           string // what holds of the header, in C
}{
	"internal/capture/v4l2": {"linux/videodev2.h", "github.com/blackjack/webcam.", map[string]kernelStruct{
		"v4l2_capability":     {"struct v4l2_capability", nil},
		"v4l2_fmtdesc":        {"struct v4l2_fmtdesc", map[string]string{"reserved": "mbus_code"}},
		"v4l2_frmsizeenum":    {"struct v4l2_frmsizeenum", map[string]string{"union": "discrete"}},
		"v4l2_frmivalenum":    {"struct v4l2_frmivalenum", map[string]string{"union": "discrete"}},
		"v4l2_format":         {"struct v4l2_format", map[string]string{"union": "fmt"}},
		"v4l2_requestbuffers": {"struct v4l2_requestbuffers", map[string]string{"reserved": "capabilities"}},
		"v4l2_buffer":         {"struct v4l2_buffer", map[string]string{"union": "m"}},
		"v4l2_timecode":       {"struct v4l2_timecode", nil},
		"v4l2_queryctrl":      {"struct v4l2_queryctrl", nil},
		"v4l2_control":        {"struct v4l2_control", nil},
		"v4l2_streamparm":     {"struct v4l2_streamparm", map[string]string{"union": "parm"}},
	}, // the number that internal/capture/v4l2 has itself, and how all are made
		`_Static_assert(VIDIOC_QUERYMENU == (3u << 30 | 44 << 16 | 'V' << 8 | 37) && VIDIOC_STREAMON == (1u << 30 | 4 << 16 | 'V' << 8 | 18), "numbers");`},
	"internal/button": {"linux/gpio.h", "github.com/warthog618/go-gpiocdev/uapi.", map[string]kernelStruct{
		"ChipInfo":            {"struct gpiochip_info", nil},
		"LineInfoV2":          {"struct gpio_v2_line_info", map[string]string{"NumAttrs": "num_attrs"}},
		"LineAttribute":       {"struct gpio_v2_line_attribute", map[string]string{"Value": "flags"}},
		"LineConfig":          {"struct gpio_v2_line_config", map[string]string{"NumAttrs": "num_attrs"}},
		"LineConfigAttribute": {"struct gpio_v2_line_config_attribute", nil},
		"LineRequest":         {"struct gpio_v2_line_request", map[string]string{"Lines": "num_lines", "EventBufferSize": "event_buffer_size"}},
	}, ""},
}

// The structs that the kernel is handed are as its headers have them, field by field, on
// each architecture there is a package for, as far as its compiler is there. A Go compiler
// and a C compiler of 32 bits do not align the same things. As the number of an ioctl is
// made of the struct's size, that is right with it.
//
// What is read field by field (an edge of the button's) or is a few bytes of ours has no
// layout of a compiler's. On 32 bits struct v4l2_buffer has a time of 32 bits in it, as C programs had it before
// they went on to 64: the kernel knows one from the other by its size.
func TestLayout(t *testing.T) {
	for arch, c := range map[string]struct{ goarch, compiler string }{
		"amd64": {"amd64", "x86_64-linux-gnu-gcc"}, "arm64": {"arm64", "aarch64-linux-gnu-gcc"}, "armhf": {"arm", "arm-linux-gnueabihf-gcc"},
	} {
		t.Run(arch, func(t *testing.T) {
			if _, err := exec.LookPath(c.compiler); err != nil {
				t.Skipf("the kernel's structs there are known by its compiler: %v", err)
			}
			for folder, k := range kernelStructs {
				program := filepath.Join(t.TempDir(), "program")
				build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", program, "./"+folder)
				build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0", "GOARM=7", "GOARCH="+c.goarch)
				if said, err := build.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, said)
				}
				ours := structs(t, program, k.prefix)
				text := "#include <stddef.h>\n#include <" + k.header + ">\n" + k.also + "\n"
				for _, name := range slices.Sorted(maps.Keys(k.structs)) {
					if ours[name] == nil {
						t.Errorf("%s: the program has no %s%s", folder, k.prefix, name)
						continue
					}
					text += asserts(k.structs[name], ours[name])
				}
				// -U: some compilers of 32 bits have programs take 64 for a time unless told otherwise.
				check := exec.CommandContext(t.Context(), c.compiler, "-U_TIME_BITS", "-U_FILE_OFFSET_BITS", "-fsyntax-only", "-xc", "-")
				check.Stdin = strings.NewReader(text)
				if said, err := check.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", folder, err, said)
				}
				t.Logf("%s: %d structs, %d sizes and places", folder, len(k.structs), strings.Count(text, "_Static_assert"))
			}
		})
	}
}

// structs reads, from what a program says of itself to debuggers, the structs of one Go
// package that it has.
func structs(t *testing.T, program, prefix string) map[string]*dwarf.StructType {
	t.Helper()
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := f.DWARF()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*dwarf.StructType{}
	for r := d.Reader(); ; {
		e, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			return all
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		name, ok := strings.CutPrefix(name, prefix)
		if !ok || e.Tag != dwarf.TagStructType {
			continue
		}
		typ, err := d.Type(e.Offset)
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := typ.(*dwarf.StructType); ok {
			all[name] = s
		}
	}
}

// asserts has a C compiler hold a struct of its header against ours.
func asserts(k kernelStruct, ours *dwarf.StructType) string {
	text := fmt.Sprintf("_Static_assert(sizeof(%s) == %d, \"size of %[1]s\");\n", k.c, ours.Size())
	for _, f := range ours.Field {
		name, ok := k.names[f.Name]
		if !ok {
			name = strings.TrimPrefix(strings.ToLower(f.Name), "_")
		}
		text += fmt.Sprintf("_Static_assert(offsetof(%s, %s) == %d, \"place of %[2]s in %[1]s\");\n", k.c, name, f.ByteOffset)
	}
	return text
}
