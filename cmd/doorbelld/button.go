package main

import (
	"context"
	"log/slog"

	"doorbelld/internal/button"
	"doorbelld/internal/config"
	"doorbelld/internal/gate"
)

// watchButton listens to the button for the gate until ctx is done.
func watchButton(ctx context.Context, b *config.Button, g *gate.Gate) {
	o := buttonOptions(b)
	o.Pressed, o.Held, o.Tell = g.Pressed, g.Held, g.ButtonIs
	button.Run(ctx, o)
}

// lightLED shows on the LED whether anybody can be told anything now, until ctx is
// done.
func lightLED(ctx context.Context, l *config.LED, g *gate.Gate, log *slog.Logger) {
	button.RunLED(ctx, button.LED{
		Pin: pin(l.Pin), ActiveLow: l.ActiveLow,
		Lit: func() bool {
			policy, m := g.Policy()
			categories, _ := policy.Wanted(m)
			return len(categories) > 0
		},
		Tell: func(why error) {
			if why != nil {
				log.Warn("no LED; going on without it, and looking for it again", "why", why)
				return
			}
			log.Info("the LED is ready")
		},
	})
}

// buttonOptions gives all but whom to tell.
func buttonOptions(b *config.Button) button.Options {
	pulls := map[config.Pull]button.Pull{config.PullUp: button.PullUp, config.PullDown: button.PullDown, config.PullNone: button.PullNone}
	return button.Options{Pin: pin(b.Pin), Pull: pulls[b.Pull], ActiveLow: b.ActiveLow, Debounce: b.Debounce}
}

func pin(p config.Pin) button.Pin { return button.Pin{Chip: p.Chip, Name: p.Name, Number: p.Number} }

// checkButton looks whether the lines of button and LED can be had.
func checkButton(b *config.Button, say func(what string, err error, good string)) {
	words, err := button.Try(buttonOptions(b))
	say("button", err, words)
	if b.LED != nil {
		words, err := button.TryLED(pin(b.LED.Pin))
		say("LED", err, words)
	}
}
