package config

import (
	"fmt"
	"regexp"
	"strings"
)

// DefaultPrefix is where Home Assistant looks for devices if nobody told it otherwise.
const DefaultPrefix = "homeassistant"

const maxPrefix = 64 // bytes

var prefixPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$`)

// A HomeAssistant is told which entities to show: those that one recipient was granted.
type HomeAssistant struct {
	Recipient string // who stands for it
	Prefix    string // of its discovery topics
}

// readHomeAssistant gives nil where the section is absent.
func readHomeAssistant(v value) *HomeAssistant {
	s := v.section()
	recipient, prefix := s.take("recipient"), s.take("prefix")
	s.close()
	if !v.present() {
		return nil
	}
	recipient.required("say which recipient stands for Home Assistant, such as `recipient: home`; what it shows is what that one is granted")
	return &HomeAssistant{Recipient: readName(recipient, "the name of a recipient, such as home"), Prefix: readPrefix(prefix)}
}

func readPrefix(v value) string {
	const want = "levels of a topic, such as homeassistant, of a-z, A-Z, 0-9, _ and -"
	if !v.present() {
		return DefaultPrefix
	}
	s, ok := v.str(want)
	switch {
	case !ok:
	case !prefixPattern.MatchString(s) || len(s) > maxPrefix:
		v.fault("is %s; want 1 to %d bytes: %s", quoted(s), maxPrefix, want)
	case s == "doorbelld" || strings.HasPrefix(s, "doorbelld/"):
		v.fault("is %s, where doorbelld has its own topics; want another, such as %s", quoted(s), DefaultPrefix)
	}
	return s
}

func (h HomeAssistant) plain() string {
	return fmt.Sprintf("Home Assistant is told below %s what to show: what the recipient %s is granted, and nothing while that is nothing.", h.Prefix, h.Recipient)
}
