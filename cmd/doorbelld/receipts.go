package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"doorbelld/internal/consent"
	"doorbelld/internal/gate"
	"doorbelld/internal/receipt"

	"github.com/spf13/cobra"
)

// sayReceipts says where the receipts of an act lie.
func sayReceipts(w io.Writer, paths ...string) {
	for _, p := range paths {
		if p != "" {
			fmt.Fprintf(w, "Receipt: %s\n", p)
		}
	}
}

func newGrantExport(g *globals) *cobra.Command {
	format := "text"
	c := &cobra.Command{
		Use:   "export [ID] [--format text|json]",
		Short: "Give the signed receipt of a grant, or of all, as they stand now",
		Long: `Gives the signed receipt of a grant as it stands now, or of all that were ever given.
As text it is what ` + "`doorbelld receipt verify`" + ` reads. --format json gives an array of
{"schema_version", "record_id", "language", "event_time", "event_type",
"pii_controller", "collection_method", "purposes", "withdrawal_method",
"sentences", "ledger_index", "ledger_head", "ledger_key", "path", "note"}: the names are
those of ISO/IEC TS 27560 where that has one, and note is the text.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return usage("--format %q is not known: text or json", format)
			}
			var ids []consent.GrantID
			for _, a := range args {
				id, err := word[consent.GrantID](a)
				if err != nil {
					return err
				}
				ids = append(ids, id)
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				all, err := client.Grants(c.Context())
				if err != nil {
					return err
				}
				for _, x := range all {
					ids = append(ids, x.ID)
				}
			}
			kept := []gate.Kept{}
			for _, id := range ids {
				k, err := client.Receipt(c.Context(), id)
				if err != nil {
					return err
				}
				kept = append(kept, k)
			}
			if format == "json" {
				return writeJSON(c.OutOrStdout(), kept)
			}
			for _, k := range kept {
				fmt.Fprint(c.OutOrStdout(), k.Note)
			}
			return nil
		},
	}
	c.Flags().StringVar(&format, "format", format, "text or json")
	return c
}

func newReceipt() *cobra.Command {
	c := group(&cobra.Command{Use: "receipt", Short: "Check the receipts of what was granted and taken back"})
	c.AddCommand(newReceiptVerify())
	return c
}

func newReceiptVerify() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use:   "verify FILE [--key KEY]",
		Short: "Check that a receipt is as it was signed; needs no daemon",
		Long: `Checks that a receipt is as it was signed, and says what it says. It needs no
daemon, and works on any machine.

Without --key it goes by the key that stands in the receipt: then it proves that
nobody but the holder of that key has changed it, and you compare the key with
the one that the device's owner has. That the ledger still holds it is for
` + "`doorbelld ledger verify`" + ` to say.`,
		Args: takes("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if errors.Is(err, fs.ErrNotExist) {
				return usage("there is no receipt at %s", args[0])
			}
			if err != nil {
				return fmt.Errorf("reading the receipt: %w", err)
			}
			defer f.Close()
			signed, err := io.ReadAll(io.LimitReader(f, receipt.MaxBytes+1))
			if err != nil {
				return fmt.Errorf("reading the receipt: %w", err)
			}
			r, err := receipt.Open(signed, key)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			for _, s := range r.Sentences {
				fmt.Fprintln(c.OutOrStdout(), s)
			}
			fmt.Fprintf(c.OutOrStdout(), "Signed as leaf %d of the ledger, and unchanged: %s, %s.\n", r.LedgerIndex, r.EventType, minute(r.EventTime))
			if key == "" {
				fmt.Fprintf(c.OutOrStdout(), "The key is the receipt's own; compare it with the owner's: %s\n", r.LedgerKey)
			}
			return nil
		},
	}
	c.Flags().StringVar(&key, "key", "", "the `KEY` of the ledger, as its owner gave it to you")
	return c
}
