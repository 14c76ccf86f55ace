package gate

import (
	"fmt"
	"time"

	"doorbelld/internal/link"
	"doorbelld/internal/model"
)

// An eye that ended so many times within so long with a model in its memory is
// started without one: OpenCV ends the process over what it cannot take, and a
// small machine over what it cannot hold.
const (
	patienceWithModel = 3
	patienceLasts     = time.Hour
)

// NetworkText says in words why there is motion alone although a model was asked
// for, and what to do, or "" if nothing is wrong.
func NetworkText(s link.Setup, n link.Network) string {
	m, ok := model.Of(s.Model)
	if !ok {
		return ""
	}
	const alone = "animals, persons and vehicles are not told, only that something moves"
	switch n {
	case link.NetworkMissing:
		return fmt.Sprintf("the model %s is not in %s, so %s: say `doorbelld models pull` and start doorbelld again, or set detect.model to none in the config", m.Kind, s.ModelDir, alone)
	case link.NetworkDamaged:
		return fmt.Sprintf("a file of the model %s in %s is not the true one, so %s: `doorbelld models verify` says which, `doorbelld models pull` gets it again; then start doorbelld again", m.Kind, s.ModelDir, alone)
	case link.NetworkForbidden:
		return fmt.Sprintf("the model %s in %s may not be read by the eye, so %s: its files must be readable by others (chmod o+r); if they are, a folder around them is closed, as the state folder is, and they belong in one that is open: name it in $DOORBELLD_MODELS, say `doorbelld models pull` and start doorbelld again, with the same variable", m.Kind, s.ModelDir, alone)
	case link.NetworkFailed:
		return fmt.Sprintf("OpenCV makes no use of the model %s, so %s: set detect.model to another one in the config", m.Kind, alone)
	case link.NoNetwork, link.NetworkUnwanted, link.NetworkLoading, link.NetworkReady:
	}
	return ""
}

// withoutText says why there is motion alone when the gate decided so.
func withoutText(k model.Kind) string {
	return fmt.Sprintf("the eye ended %d times with the model %s in its memory, so it runs without, and only motion is told: set detect.model to another one in the config, or to none, and start doorbelld again", patienceWithModel, k)
}

// networkChanged takes the eye's word on its network, and speaks when there is
// something wrong with it or no more: once each, not for each eye, and of one eye
// no text twice, or one gone bad could write the log full.
func (w *watcher) networkChanged(n link.Network) {
	w.network = n
	text := NetworkText(w.setup, n)
	if w.model != w.setup.Model {
		text = withoutText(w.model)
	}
	w.tally.network(w.model, n, text)
	if text == w.spoken || text == "" && n != link.NetworkReady {
		return
	}
	w.spoken = text
	if w.said[text] {
		return
	}
	w.said[text] = true
	if text == "" {
		w.log.Info("the model is in use", "model", w.model)
		return
	}
	w.log.Warn("motion alone", "why", text)
}

// bury notes that an eye ended by itself. After too many that had a model in their
// memory the next one gets none, until doorbelld is started again.
func (w *watcher) bury(now time.Time) {
	if !w.network.InMemory() {
		return
	}
	recent := w.deaths[:0]
	for _, at := range w.deaths {
		if now.Sub(at) < patienceLasts {
			recent = append(recent, at)
		}
	}
	w.deaths = append(recent, now)
	if len(w.deaths) >= patienceWithModel {
		w.setup.Model = model.None
	}
}
