// Plot draws what tests/emulatorbench has measured: for each guest a group of
// bars, one for each emulator, as high as its time is to that of the fastest
// stock one.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image/color"
	"math"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// result is what is read of emulatorbench's.
type result struct {
	Targets []target
}

type target struct {
	Name      string
	Emulators []struct {
		Name  string
		Stock bool
	}
	Rows []struct {
		Guest   string
		Trained bool
		Cells   []struct {
			Ratio   float64
			Failure string
		}
	}
}

func main() {
	in := flag.String("in", "dist/emulators.json", "`file` that emulatorbench -json wrote")
	out := flag.String("out", "docs/emulators.svg", "`file` to write")
	flag.Parse()
	if err := run(*in, *out); err != nil {
		fmt.Fprintln(os.Stderr, "plot: error:", err)
		os.Exit(1)
	}
}

func run(in, out string) error {
	text, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	var r result
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	if len(r.Targets) == 0 {
		return fmt.Errorf("%s: there is nothing in it", in)
	}
	canvas := vgsvg.New(9*vg.Inch, vg.Length(len(r.Targets))*3.2*vg.Inch)
	tiles := draw.Tiles{Rows: len(r.Targets), Cols: 1, PadY: vg.Points(12), PadTop: vg.Points(4), PadBottom: vg.Points(4), PadRight: vg.Points(8)}
	for i, t := range r.Targets {
		p, err := t.plot()
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		p.Draw(tiles.At(draw.New(canvas), 0, i))
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	_, err = canvas.WriteTo(f)
	return errors.Join(err, f.Close())
}

// Stock emulators are grey, those to be judged are not.
var (
	stock  = []color.Color{color.Gray{0xd0}, color.Gray{0xa8}, color.Gray{0x80}, color.Gray{0x60}}
	judged = []color.Color{color.RGBA{0x1f, 0x77, 0xb4, 0xff}, color.RGBA{0xff, 0x7f, 0x0e, 0xff}, color.RGBA{0x2c, 0xa0, 0x2c, 0xff}, color.RGBA{0xd6, 0x27, 0x28, 0xff}}
)

func (t *target) plot() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = t.Name + ": time, the fastest stock emulator's is 1"
	p.BackgroundColor = color.White
	p.Y.Min = 0
	p.Legend.Top = true
	p.Legend.Left = false
	p.Add(plotter.NewGrid())
	var names []string
	for _, r := range t.Rows {
		name := r.Guest
		if !r.Trained {
			name += " *"
		}
		names = append(names, name)
	}
	highest := 1.0
	width := vg.Points(42 / float64(len(t.Emulators)))
	var nStock, nJudged int
	for i, e := range t.Emulators {
		var values plotter.Values
		for _, r := range t.Rows {
			value := r.Cells[i].Ratio // 0 where it failed
			values = append(values, value)
			highest = math.Max(highest, value)
		}
		bars, err := plotter.NewBarChart(values, width)
		if err != nil {
			return nil, err
		}
		bars.LineStyle.Width = 0
		bars.Offset = width * vg.Length(float64(i)-float64(len(t.Emulators)-1)/2)
		if e.Stock {
			bars.Color = stock[nStock%len(stock)]
			nStock++
		} else {
			bars.Color = judged[nJudged%len(judged)]
			nJudged++
		}
		p.Add(bars)
		p.Legend.Add(e.Name, bars)
	}
	p.Y.Max = highest * 1.35 // room for the legend
	p.NominalX(names...)
	return p, nil
}
