package config

import (
	"fmt"
	"time"

	"github.com/goccy/go-yaml/ast"
)

const (
	maxDebounce = 500 * time.Millisecond // a finger is not slower
	maxChip     = 255
	maxLine     = 1023
	maxPinName  = 31 // bytes, the kernel's bound
)

// readButton gives nil if there is no such section: a button is only where
// somebody wired one.
func readButton(v value) *Button {
	s := v.section()
	chip, line, pull, low := s.take("chip"), s.take("line"), s.take("pull"), s.take("active_low")
	debounce, led := s.take("debounce"), s.take("led")
	s.close()
	lamp := led.section()
	ledChip, ledLine, ledLow := lamp.take("chip"), lamp.take("line"), lamp.take("active_low")
	lamp.close()
	if !v.present() {
		return nil
	}

	b := &Button{Pull: readPull(pull), Debounce: debounce.duration(0, maxDebounce, defaultDebounce)}
	line.required("say which line the button is on, such as `line: 17`")
	b.Pin = readPin(readChip(chip, defaultChip), line)
	b.ActiveLow = b.Pull != PullDown
	if low.present() {
		b.ActiveLow = low.yes()
	}
	if led.present() {
		ledLine.required("say which line the LED is on, such as `line: 27`")
		b.LED = &LED{Pin: readPin(readChip(ledChip, b.Pin.Chip), ledLine), ActiveLow: ledLow.yes()}
		if ledLine.present() && b.LED.Pin == b.Pin {
			ledLine.fault("is the button's own; an LED needs another line")
		}
	}
	return b
}

func readPull(v value) Pull {
	switch v.word("up", "up", "down", "none") {
	case "down":
		return PullDown
	case "none":
		return PullNone
	}
	return PullUp
}

// readChip reads the number of a chip, or its name or label.
func readChip(v value, absent string) string {
	if !v.present() {
		return absent
	}
	if _, ok := v.node.(*ast.IntegerNode); ok {
		return fmt.Sprintf("gpiochip%d", int(v.number(0, maxChip, 0)))
	}
	return v.pinName("the number of a GPIO chip, or its name or label; `gpiodetect` lists them")
}

// readPin reads the number of a line, or its name.
func readPin(chip string, v value) Pin {
	if _, ok := v.node.(*ast.IntegerNode); ok {
		return Pin{Chip: chip, Number: int(v.number(0, maxLine, 0))}
	}
	return Pin{Chip: chip, Name: v.pinName("the number of a line, or its name; `gpioinfo` lists them")}
}

// pinName reads a name as the kernel has them.
func (v value) pinName(want string) string {
	s, ok := v.str(want)
	if ok && len(s) > maxPinName {
		v.fault("is longer than %d bytes, as no name of the kernel's is; want %s", maxPinName, want)
	}
	return s
}
