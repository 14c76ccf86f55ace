// Package model knows the neural networks that doorbelld can use: which files
// they are made of, where those come from, under which licence, and how to tell
// the true file from any other.
//
// The files belong to other projects and are not part of this one. They are used
// only if their content is exactly the one that is pinned here, by SHA-256. The
// package opens no connection; it reads files and hands over their bytes, so that
// what was checked is what is used.
package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"doorbelld/internal/enum"
)

// Kind is which network looks. The zero Kind is None: motion alone.
type Kind uint8

// The kinds.
const (
	None    Kind = iota
	Fast         // Yolo-Fastest: the one for a small Raspberry Pi
	Careful      // YOLOX-Nano: finds more of what is small, in twice the time
)

var kindNames = []string{None: "none", Fast: "fast", Careful: "careful"}

// Kinds lists all of them, None first.
func Kinds() []Kind { return []Kind{None, Fast, Careful} }

// Valid reports whether k is one of Kinds.
func (k Kind) Valid() bool { return int(k) < len(kindNames) }

func (k Kind) String() string { return enum.String("model", kindNames, k) }

// MarshalText writes the name; an invalid kind is an error.
func (k Kind) MarshalText() ([]byte, error) { return enum.Marshal("model", kindNames, k) }

// UnmarshalText reads one of the names, exactly.
func (k *Kind) UnmarshalText(text []byte) error {
	return enum.Unmarshal("model", kindNames, text, k)
}

// A Model is one network and where it comes from.
type Model struct {
	Kind    Kind
	Name    string // its authors' name for it
	Purpose string // in a few words
	Licence string
	Origin  string // the project that published it
	Files   []File // in the order in which Load gives their contents
}

// A File is one file of a model.
type File struct {
	Name   string // also on disk
	URL    string // its official address
	Size   int64  // bytes
	SHA256 string // of its content, in hexadecimal
}

// All lists the models, the default first.
func All() []Model {
	const yoloFastest = "https://raw.githubusercontent.com/dog-qiuqiu/Yolo-Fastest/96a2900d163196c396e73f3fdab04ca4dd9a2f70/ModelZoo/yolo-fastest-1.1_coco/"
	return []Model{
		{
			Kind: Fast, Name: "yolo-fastest-1.1-xl", Purpose: "animals, persons and vehicles, quickly (the default)",
			Licence: "YOLO LICENSE v2 (public domain)", Origin: "https://github.com/dog-qiuqiu/Yolo-Fastest",
			Files: []File{
				{"yolo-fastest-1.1-xl.weights", yoloFastest + "yolo-fastest-1.1-xl.weights", 3_693_964, "fac5fb41786c1f38f04972a658443b189f48720d7d117f9a044100e98a35b0c5"},
				{"yolo-fastest-1.1-xl.cfg", yoloFastest + "yolo-fastest-1.1-xl.cfg", 9_696, "c458427acc4fbeabceff4528ef7b65b066c0308ce599460f8ba299eba63abad3"},
			},
		},
		{
			Kind: Careful, Name: "yolox_nano", Purpose: "the same with more care, in about twice the time",
			Licence: "Apache-2.0", Origin: "https://github.com/Megvii-BaseDetection/YOLOX",
			Files: []File{
				{"yolox_nano.onnx", "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/yolox_nano.onnx", 3_659_407, "c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d"},
			},
		},
	}
}

// Of gives the model of a kind; ok is false for None and what is not valid.
func Of(k Kind) (m Model, ok bool) {
	for _, m := range All() {
		if m.Kind == k {
			return m, true
		}
	}
	return Model{}, false
}

// What can be wrong with a file. Both are wrapped with its path.
var (
	ErrMissing = errors.New("the model is not installed")
	ErrDamaged = errors.New("not the file that is pinned")
)

// Paths gives where m's files are looked for in folder.
func (m Model) Paths(folder string) []string {
	var all []string
	for _, f := range m.Files {
		all = append(all, filepath.Join(folder, f.Name))
	}
	return all
}

// Load reads m's files out of folder, in the order of Files, and checks them. The
// bytes are those that were checked.
func (m Model) Load(folder string) ([][]byte, error) {
	var all [][]byte
	for _, f := range m.Files {
		content, err := f.Read(folder)
		if err != nil {
			return nil, err
		}
		all = append(all, content)
	}
	return all, nil
}

// Read reads f out of folder and checks it.
func (f File) Read(folder string) ([]byte, error) {
	path := filepath.Join(folder, f.Name)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, ErrMissing)
	}
	if err != nil {
		return nil, fmt.Errorf("read a model: %w", err)
	}
	defer file.Close()
	var content bytes.Buffer
	content.Grow(int(f.Size) + bytes.MinRead) // else the buffer doubles beyond it
	if _, err := io.Copy(&content, io.LimitReader(file, f.Size+1)); err != nil {
		return nil, fmt.Errorf("read a model: %w", err)
	}
	if err := f.Check(content.Bytes()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return content.Bytes(), nil
}

// Check reports content that is not f's: an error that wraps ErrDamaged.
func (f File) Check(content []byte) error {
	if int64(len(content)) != f.Size {
		if int64(len(content)) > f.Size {
			return fmt.Errorf("%w: longer than %d bytes", ErrDamaged, f.Size)
		}
		return fmt.Errorf("%w: %d bytes instead of %d", ErrDamaged, len(content), f.Size)
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != f.SHA256 {
		return fmt.Errorf("%w: its SHA-256 is %x, not %s", ErrDamaged, sum, f.SHA256)
	}
	return nil
}
