// Accuracy measures what doorbelld sees and what that costs, on labelled footage,
// and writes docs/accuracy.md.
//
//	make accuracy        which builds both programs and runs it in the repository's root
//
// Clips are measured as anybody can, by `doorbelld bench`; stills by the networks
// alone, on the whole picture. The footage and the models are not part of the
// repository: see internal/footage for where they are looked for.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"doorbelld/internal/footage"
)

func main() {
	program := flag.String("doorbelld", "build/doorbelld", "the program to measure")
	out := flag.String("o", "docs/accuracy.md", "the file to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *program, *out); err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

// run measures everything and writes it down.
func run(ctx context.Context, program, out string) error {
	media, err := footage.Media()
	if err != nil {
		return err
	}
	models, err := footage.Models()
	if err != nil {
		return err
	}
	if program, err = filepath.Abs(program); err != nil {
		return err
	}
	r, err := measure(ctx, bencher{program: program, models: models}, media, os.Stderr)
	if err != nil {
		return err
	}
	r.date = time.Now()
	var text bytes.Buffer
	r.write(&text)
	if err := os.WriteFile(out, text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
