// Points and hairlines, each in one call. deck.gl's own layers draw instances, and a renderer in software takes
// those up one by one: some thousand users would be seconds a frame.
"use strict";

const RIM = 1.2; // Width of a point's rim, in pixels.
const PLACED = `geometry.worldPosition = vec3(positions, 0.0);
  gl_Position = project_position_to_clipspace(geometry.worldPosition, vec3(0.0), vec3(0.0), geometry.position);
  DECKGL_FILTER_GL_POSITION(gl_Position, geometry);`;
const DOT_VERTEX = `#version 300 es
#define SHADER_NAME dots
in vec2 positions;
in float radii;
in vec4 fills;
in vec4 rims;
out vec4 vFill;
out vec4 vRim;
out vec2 vRadii;
void main(void) {
  geometry.pickingColor = picking_getPickingColorFromIndex(float(gl_VertexID));
  ${PLACED}
  vRadii = vec2(radii + ${RIM / 2}, radii - ${RIM / 2}) * project.devicePixelRatio;
  gl_PointSize = 2.0 * vRadii.x + 2.0;
  vFill = fills;
  vRim = rims;
  DECKGL_FILTER_COLOR(vFill, geometry);
}`;
const DOT_FRAGMENT = `#version 300 es
#define SHADER_NAME dots
precision highp float;
in vec4 vFill;
in vec4 vRim;
in vec2 vRadii;
out vec4 fragColor;
void main(void) {
  vec2 beyond = clamp(length(gl_PointCoord - 0.5) * (2.0 * vRadii.x + 2.0) - vRadii + 0.5, 0.0, 1.0);
  if (beyond.x == 1.0) discard;
  fragColor = mix(vFill, vRim, beyond.y);
  fragColor.a *= 1.0 - beyond.x;
  DECKGL_FILTER_COLOR(fragColor, geometry);
}`;
const HAIRLINE_VERTEX = `#version 300 es
#define SHADER_NAME hairlines
in vec2 positions;
in vec4 shades;
out vec4 vShade;
void main(void) {
  ${PLACED}
  vShade = shades;
  DECKGL_FILTER_COLOR(vShade, geometry);
}`;
const HAIRLINE_FRAGMENT = `#version 300 es
#define SHADER_NAME hairlines
precision highp float;
in vec4 vShade;
out vec4 fragColor;
void main(void) {
  fragColor = vShade;
  DECKGL_FILTER_COLOR(fragColor, geometry);
}`;

// The kinds of layers, once deck.gl is there.
function plainLayers() {
  class PlainLayer extends deck.Layer {
    static componentName = "PlainLayer";

    initializeState() {
      const attributes = this.getAttributeManager(), { topology, columns } = this.constructor;
      attributes.add(columns);
      const model = new luma.Model(this.context.device, { ...this.getShaders(), id: this.props.id, bufferLayout: attributes.getBufferLayouts(), topology, vertexCount: 0 });
      this.setState({ model });
    }

    getShaders() {
      const { vs, fs } = this.constructor;
      return super.getShaders({ vs, fs, modules: [deck.project32, deck.color, deck.picking] });
    }

    draw() {
      this.state.model.setVertexCount(this.props.data.length);
      this.state.model.draw(this.context.renderPass);
    }
  }
  const place = { size: 2, accessor: "getPosition" }, rgba = (accessor) => ({ size: 4, type: "unorm8", accessor });
  // Points with a rim, their radii in pixels.
  class DotLayer extends PlainLayer {
    static layerName = "DotLayer";
    static topology = "point-list";
    static columns = { positions: place, radii: { size: 1, accessor: "getRadius" }, fills: rgba("getFillColor"), rims: rgba("getLineColor") };
    static vs = DOT_VERTEX;
    static fs = DOT_FRAGMENT;
  }
  // Lines from each second place to the next, as thin as the screen's pixels.
  class HairlineLayer extends PlainLayer {
    static layerName = "HairlineLayer";
    static topology = "line-list";
    static columns = { positions: place, shades: rgba("getColor") };
    static vs = HAIRLINE_VERTEX;
    static fs = HAIRLINE_FRAGMENT;
  }
  return { DotLayer, HairlineLayer };
}
