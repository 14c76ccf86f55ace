package config

import (
	"fmt"
	"strconv"
	"strings"

	"doorbelld/internal/model"
)

// Plain says what c means, in sentences for a person: what is watched, how much
// of it is looked at, and where things go. Who will be told is not in a Config.
func (c *Config) Plain() []string {
	lines := []string{
		c.Camera.plain(),
		c.plainZones(),
		fmt.Sprintf("What moves is noticed if it is at least %s %% as high as the picture.", decimal(100*c.Motion.Smallest)),
		c.plainDetect(),
	}
	if c.Button != nil {
		lines = append(lines, c.Button.plain())
	}
	lines = append(lines, c.Broker.plain())
	if c.Home != nil {
		lines = append(lines, c.Home.plain())
	}
	lines = append(lines,
		fmt.Sprintf("Grants, releases and what waits to be sent are kept in %s; the commands reach the daemon through a socket in %s.", c.State, c.Runtime),
	)
	return append(lines, c.Access.plain()...)
}

// plain says nothing of root and the user that runs doorbelld.
func (a Access) plain() []string {
	var owners, lines []string
	if a.Owner != "" {
		owners = append(owners, a.Owner)
	}
	if a.OwnerGroup != "" {
		owners = append(owners, "the members of "+a.OwnerGroup)
	}
	if len(owners) > 0 {
		lines = append(lines, "Grants can also be given and taken back by "+strings.Join(owners, " and ")+".")
	}
	if a.HouseholdGroup != "" {
		lines = append(lines, "The members of "+a.HouseholdGroup+" can pause everything and ask who sees what.")
	}
	return lines
}

func (c Camera) plain() string {
	if c.V4L2 != nil {
		return fmt.Sprintf("The camera at %s is watched%s.", c.V4L2.Device, c.V4L2.plain())
	}
	if c.Rpicam != nil {
		return fmt.Sprintf("The Raspberry Pi camera module is watched%s.", c.Rpicam.plain())
	}
	pace, end := "as fast as it goes", "once"
	if c.Clip.RealTime {
		pace = "at its own pace"
	}
	if c.Clip.Loop {
		end = "over and over"
	}
	return fmt.Sprintf("The video file %s is watched in a camera's place, %s pictures a second, %s, %s.", c.Clip.Path, decimal(c.Clip.FPS), pace, end)
}

// plain goes on after "is watched".
func (v V4L2) plain() string {
	var text string
	var chosen []string
	add := func(auto bool, what, value string) {
		if auto {
			chosen = append(chosen, what)
		} else {
			text += ", " + value
		}
	}
	add(v.Format == Auto, "format", v.Format.String())
	add(v.Width == 0, "size", fmt.Sprintf("%d×%d", v.Width, v.Height))
	add(v.FPS == 0, "rate", decimal(v.FPS)+" pictures a second")
	switch len(chosen) {
	case 0:
		return text
	case 1:
		return text + "; " + chosen[0] + " is chosen by what it offers"
	}
	return text + "; " + series(chosen) + " are chosen by what it offers"
}

// plain goes on after "is watched".
func (m Rpicam) plain() string {
	var text string
	add := func(said bool, format string, args ...any) {
		if said {
			text += ", " + fmt.Sprintf(format, args...)
		}
	}
	add(m.Width != 0, "%d×%d", m.Width, m.Height)
	add(m.FPS != 0, "%s pictures a second", decimal(m.FPS))
	add(m.Rotation != 0, "turned by %d degrees", m.Rotation)
	add(m.HFlip, "left for right")
	add(m.VFlip, "top for bottom")
	add(m.Exposure == "sport", "with short exposures")
	add(m.Shutter != 0, "each exposed for %v", m.Shutter)
	add(m.Gain != 0, "at a gain of %s", decimal(m.Gain))
	add(m.EV != 0, "%+g stops brighter", m.EV)
	return text
}

func (c *Config) plainZones() string {
	if c.Everything {
		return "All of the picture is looked at."
	}
	names := make([]string, len(c.Zones))
	for i, z := range c.Zones {
		names[i] = z.Name
	}
	noun := "zone " + names[0] + " is"
	if len(names) > 1 {
		noun = "zones " + series(names) + " are"
	}
	return "Only the " + noun + " looked at; the rest of the picture is blanked before anything looks."
}

func (c *Config) plainDetect() string {
	m, ok := model.Of(c.Detect.Model)
	if !ok {
		return "Nothing tells animals, persons and vehicles apart: what moves is motion."
	}
	return fmt.Sprintf("Animals, persons and vehicles are told apart by the model %s (%s), out of the folder %s.", m.Name, m.Kind, c.Models)
}

func (b *Button) plain() string {
	level, pull := "high", map[Pull]string{PullUp: ", pulled up", PullDown: ", pulled down", PullNone: ""}[b.Pull]
	if b.ActiveLow {
		level = "low"
	}
	text := fmt.Sprintf("The button is on %s%s; it is pressed while that is %s for %v or longer. Held for 5 seconds it pauses everything for an hour.", b.Pin, pull, level, b.Debounce)
	if b.LED == nil {
		return text
	}
	level = "high"
	if b.LED.ActiveLow {
		level = "low"
	}
	return text + fmt.Sprintf(" An LED on %s, lit by %s, shows that somebody is told something.", b.LED.Pin, level)
}

// String names the line as the file does.
func (p Pin) String() string {
	if p.Name != "" {
		return fmt.Sprintf("line %s of %s", p.Name, p.Chip)
	}
	return fmt.Sprintf("line %d of %s", p.Number, p.Chip)
}

func (b Broker) plain() string {
	if b.Embedded {
		port := "port " + strconv.Itoa(int(b.Listen.Port()))
		if b.Listen.Port() == 0 {
			port = "any free port"
		}
		who := "which only programs on this machine can reach"
		if !b.Listen.Addr().IsLoopback() {
			who = "which other machines can reach, with TLS and a password"
		} else if b.CertificateFile != "" {
			who += ", with TLS"
		}
		return fmt.Sprintf("What is granted goes to the embedded broker, %s, at %s, %s.", who, b.Listen.Addr(), port)
	}
	who := "without a user name"
	if b.Username != "" {
		who = "as user " + strconv.Quote(b.Username)
	}
	if b.PasswordFile != "" {
		who += " with the password in " + b.PasswordFile
	}
	if b.CertificateFile != "" {
		who += " and the certificate in " + b.CertificateFile
	}
	return fmt.Sprintf("What is granted goes to the broker at %s, %s; the way there is %s.", b.Address, who, b.plainWay())
}

func (b Broker) plainWay() string {
	switch {
	case !b.sealed():
		return "not encrypted"
	case b.CAFile != "":
		return "encrypted, and the broker's certificate must be signed by the authority in " + b.CAFile
	}
	return "encrypted, and the broker's certificate must be signed by an authority that this machine trusts"
}

// series writes two words or more as a, b and c.
func series(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// decimal writes f as a person would, to four digits.
func decimal(f float64) string {
	return strconv.FormatFloat(f, 'g', 4, 64)
}
