package main

import (
	"fmt"

	"doorbelld/internal/consent"
	"doorbelld/internal/console"

	"github.com/spf13/cobra"
)

func newRecipient(g *globals) *cobra.Command {
	c := group(&cobra.Command{Use: "recipient", Short: "Say who there is to be told"})
	c.AddCommand(newRecipientAdd(g), newRecipientList(g), newRecipientRemove(g))
	return c
}

func newRecipientAdd(g *globals) *cobra.Command {
	var kind string
	c := &cobra.Command{
		Use:   "add NAME --kind KIND",
		Short: "Make a recipient known; it is told nothing until it is granted something",
		Long: `Makes a recipient known. It is told nothing until it is granted something.

NAME has 1 to 32 of a-z, 0-9, _ and -; it becomes a part of MQTT topics.
KIND bounds what it can ever be granted:
` + kinds(),
		Example: "  doorbelld recipient add home --kind integration",
		Args:    takes("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := consent.CheckName(args[0]); err != nil {
				return usage("%w", err)
			}
			if kind == "" {
				return usage("say what %s is with --kind: one of %s", args[0], choices(consent.Kinds()))
			}
			k, err := word[consent.Kind](kind)
			if err != nil {
				return err
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			if err := client.AddRecipient(c.Context(), consent.Recipient{Name: args[0], Kind: k}); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s (%s) is known, and told nothing until you grant it: see `doorbelld grant add --help`.\n", args[0], k)
			if cfg, err := g.load(); g.socket == "" && err == nil && cfg.Broker.Embedded {
				fmt.Fprintf(c.OutOrStdout(), "At the embedded broker it logs in as %s, with the password in %s.\n", args[0], accounts(cfg).Path(args[0]))
			}
			return nil
		},
	}
	c.Flags().StringVar(&kind, "kind", "", "`KIND` of recipient: "+choices(consent.Kinds()))
	return c
}

// kinds lists the kinds of recipient and the most that each can have.
func kinds() string {
	text := ""
	for _, k := range consent.Kinds() {
		text += fmt.Sprintf("  %-12s up to %s\n", k, k.Cap())
	}
	return text
}

func newRecipientList(g *globals) *cobra.Command {
	return listing[consent.Recipient]{
		short: "List the recipients",
		long:  `Lists the recipients. --json gives an array of {"name", "kind"}.`,
		ask:   (*console.Client).Recipients,
		none:  "No recipient is known: make one known with `doorbelld recipient add NAME --kind KIND`.",
		head:  []string{"NAME", "KIND", "AT MOST"},
		row:   func(r consent.Recipient) []string { return []string{r.Name, r.Kind.String(), r.Kind.Cap().String()} },
	}.command(g)
}

func newRecipientRemove(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME",
		Short: "Forget a recipient and take back all that it was granted, at once",
		Args:  takes("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := consent.CheckName(args[0]); err != nil {
				return usage("%w", err)
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			kept, err := client.RemoveRecipient(c.Context(), args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is forgotten, and all that it was granted is taken back.\n", args[0])
			sayReceipts(c.OutOrStdout(), kept.Receipts...)
			return nil
		},
	}
}
